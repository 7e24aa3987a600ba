"""Where tables pickled by early versions look for their class."""

from labelquorum.votes.signatures import SignatureTable as SignatureTable
