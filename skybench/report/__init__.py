"""Tables, the paper's tables, claims, plots, pictures, and exports of records."""
