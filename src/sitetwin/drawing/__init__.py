"""How things are drawn: style, surface colours, the view from above."""
