"""The city in the browser: surfaces, canopies, users coloured by what they receive, and the rays that reach them."""
