"""What the page's explorer is made of: closed forms' ingredients, and a grid for the exact rung."""
