"""A report of a fitted `ConsensusClusterer`: one HTML file that needs no other file.

In reading order:

- `page`: the entry; checks the arguments and renders the template;
- `data`: reads the fitted model once, into plain values;
- `selection`: chooses the categories and samples to show;
- `samples`, `cards`, `contents`: lay out samples, categories and the whole page as values for the
  template;
- `drawing`, `images`: make the pictures;
- `page.html`, `style.css`, `script.js`: the template, its style and its script.
"""
