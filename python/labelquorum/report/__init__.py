"""A report of a fitted `ConsensusClusterer`: one HTML file that needs no other file.

In reading order:

- `page`: the entry; checks the arguments and renders the template;
- `data`: reads the fitted model once, into plain values;
- `selection`: chooses the categories and samples to show;
- `layout`: places every sample on the map;
- `samples`, `cards`, `overview`, `contents`: lay out samples, categories, the first screen and the
  whole page as values for the template;
- `scatter`, `tree`, `drawing`, `images`: make the pictures;
- `points`: writes the points of the map for other programs;
- `page.html`, `style.css`, `script.js`, `map.js`: the template, its style and its scripts.
"""
