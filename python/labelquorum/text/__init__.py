"""Categories of texts in words: keywords, representative texts, and rules that vote.

Read ``words`` (how a text becomes words), ``terms`` (keywords, representatives and the table of
categories), then ``rules`` (`KeywordLabeler`).
"""

from __future__ import annotations

from labelquorum.text.rules import KeywordLabeler, RuleReport
from labelquorum.text.terms import category_table, keywords, representatives

__all__ = ["KeywordLabeler", "RuleReport", "category_table", "keywords", "representatives"]
