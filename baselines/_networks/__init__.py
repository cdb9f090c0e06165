"""Networks whose original form is in none of the installed packages."""
