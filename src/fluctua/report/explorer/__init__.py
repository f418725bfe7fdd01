"""What the page's explorer is made of: closed forms' ingredients, and the exact balance in a reduced basis."""
