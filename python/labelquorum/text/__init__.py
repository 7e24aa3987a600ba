"""Embed texts, describe their categories by keywords and typical texts, and label texts by rules.

Read ``embedding`` (`embed`), with ``models`` (language models) and ``tfidf`` (`TfidfEmbedder`) and
``source`` (`TextSource`, what a saved model keeps of them);
``words`` (how a text becomes words), ``terms`` (`keywords`, `representatives` and
`category_table`), then ``rules`` (`KeywordLabeler`).
"""

from __future__ import annotations

from labelquorum.text.embedding import embed
from labelquorum.text.rules import KeywordLabeler, RuleReport
from labelquorum.text.source import TextSource
from labelquorum.text.terms import category_table, keywords, representatives
from labelquorum.text.tfidf import TfidfEmbedder

__all__ = [
    "KeywordLabeler",
    "RuleReport",
    "TextSource",
    "TfidfEmbedder",
    "category_table",
    "embed",
    "keywords",
    "representatives",
]
