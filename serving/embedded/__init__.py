"""The selector in the process of the product: no server between a request and its arm."""
