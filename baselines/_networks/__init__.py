"""Networks that no installed package has as their authors wrote them."""
