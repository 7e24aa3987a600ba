"""Pictures of results, in scikit-learn's style, with matplotlib.

In reading order:

- `categories`: a grid of samples for each category, and a heat map of how categories agree;
- `curves`: precision by coverage, accuracy by number of labels, and rounds of training;
- `layout`: where the categories of the grid lie;
- `axes`: what they share.
"""
