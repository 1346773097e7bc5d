"""The ground of a mesh, and what its surfaces enclose, found by geometry.

Names, winding, and how surfaces are cut into objects play no part. The rules, in words, are in the documentation
("Ground and open air").
"""
