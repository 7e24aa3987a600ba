"""Describe categories of texts by keywords and typical texts, and label texts by rules.

Read ``words`` (how a text becomes words), ``terms`` (`keywords`, `representatives` and
`category_table`), then ``rules`` (`KeywordLabeler`).
"""

from __future__ import annotations

from labelquorum.text.rules import KeywordLabeler, RuleReport
from labelquorum.text.terms import category_table, keywords, representatives

__all__ = ["KeywordLabeler", "RuleReport", "category_table", "keywords", "representatives"]
