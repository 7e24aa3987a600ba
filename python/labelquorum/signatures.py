"""The place where pickles of early versions look for `SignatureTable`."""

from labelquorum.votes.signatures import SignatureTable as SignatureTable
