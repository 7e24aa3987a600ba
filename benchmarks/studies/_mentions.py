"""Features of mentions in documents, and of pairs of mentions, from their text.

The word lists come from English grammar; nothing is learned here.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

LEFT, RIGHT = "\u2018", "\u2019"  # single quotation marks


def _words(text):
    return set(text.split())


PRONOUNS = {  # person, plural, gender, case
    "i me my mine myself": (1, 0, ""),
    "we us our ours ourselves": (1, 1, ""),
    "you your yours yourself yourselves thou thee thy thine ye yer yeh": (2, 0, ""),
    "he him his himself": (3, 0, "m"),
    "she her hers herself": (3, 0, "f"),
    "it its itself": (3, 0, "n"),
    "they them their theirs themselves 'em": (3, 1, ""),
}
PRONOUN = {word: facts for words, facts in PRONOUNS.items() for word in words.split()}
CASES = [
    _words("i we he she they thou ye"),
    _words("me us him them thee 'em"),
    _words("my our your his her its their thy yer mine ours yours hers theirs thine"),
    _words("myself ourselves yourself himself herself itself themselves yourselves"),
]
MALE = _words(
    "mr mr. mister sir lord master king prince duke earl baron count squire captain colonel major "
    "general sergeant lieutenant father brother son uncle grandfather nephew husband man boy "
    "gentleman fellow lad priest parson clergyman monk knight papa dad emperor baronet bishop "
    "monsieur gentlemen men boys sons brothers widower bachelor bridegroom footman butler "
    "john william james george charles henry thomas robert edward joseph richard arthur harry "
    "frank fred jack tom dick jim bob sam samuel david peter paul philip walter albert alfred "
    "stephen daniel hugh ralph roger martin michael patrick andrew francis louis ned ben joe will "
    "simon adam nicholas oliver"
)
FEMALE = _words(
    "mrs mrs. miss ms lady madam madame mistress queen princess duchess countess baroness mother "
    "sister daughter aunt grandmother niece wife woman girl lass maid widow nun mamma mama nurse "
    "governess housekeeper bride ma'am ladies women girls daughters sisters empress mademoiselle "
    "marchioness actress hostess maiden "
    "mary elizabeth anne anna ann jane margaret sarah emma alice catherine katherine kate lucy "
    "ellen helen charlotte caroline dorothy edith emily florence frances grace harriet isabella "
    "julia laura louisa maria martha nancy rose ruth sophia susan victoria fanny amelia agnes "
    "bessie betsy clara eleanor esther eva janet jo meg amy polly rachel rebecca"
)
PLURAL = _words(
    "two three four five six seven eight nine ten both all these those many several some few "
    "people men women children folk folks gentlemen ladies others persons couple crowd family "
    "everybody"
)
DETERMINERS = {
    0: _words("a an another one any some"),
    1: {"the"},
    2: _words("this that these those"),
    3: _words("my our your his her its their thy mine"),
    4: _words("two three four five both all many several few no every each"),
}
STOPPERS = _words(
    "of in on at with from who whom whose which that , to by for where when -- ; ( as under over "
    "upon near about into like among between behind beyond whence"
)
SPEECH = _words(
    "said says say cried asked replied answered returned exclaimed observed remarked continued "
    "whispered muttered murmured added inquired demanded repeated shouted called began interposed "
    "growled sighed laughed responded rejoined declared went thought explained"
)
LINKS = _words("is was are were be am been being became become 's named called")
NO_CONTENT = _words("a an the of and in to 's my our your his her its their this that old")
NEUTRAL_TO = {"": 0, "m": 1, "f": 2, "n": 3}


class Document(NamedTuple):
    """Mentions in the order of the text."""

    name: str
    items: np.ndarray  # (n_mentions, n_features)
    pairs: np.ndarray  # (n_pairs, n_pair_features), as numpy.triu_indices has them
    clusters: np.ndarray
    categories: np.ndarray
    texts: np.ndarray
    heads: np.ndarray


def read(path):
    """Read the documents of a file of JSON lines."""
    path = Path(path)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [document(json.loads(line)) for line in lines if line.strip()]


def _hashed(word, n):
    return zlib.crc32(word.encode()) % n


def _bare(tokens):
    """Return the lower-case words without leading determiners and a final possessive."""
    words = [token.lower() for token in tokens]
    while len(words) > 1 and words[-1] in ("'s", RIGHT + "s", "'", RIGHT):
        words.pop()
    while len(words) > 1 and any(words[0] in of for of in DETERMINERS.values()):
        words = words[1:]
    return words


def _head(words):
    ends = [i for i, word in enumerate(words) if word in STOPPERS and i > 0]
    return words[ends[0] - 1] if ends else words[-1]


def _quotes(tokens):
    """Return the number of each token's quotation, from 1; 0 outside of quotations."""
    doubles = sum(token in ('"', "“", "”", "``", "''") for token in tokens)
    singles = sum(token in ("'", LEFT, RIGHT) for token in tokens)
    if doubles >= 4 or doubles >= singles:
        both, opening, closing = {'"'}, {"“", "``"}, {"”", "''"}
    else:
        both, opening, closing = {"'"}, {LEFT}, {RIGHT}
    found = np.zeros(len(tokens), dtype=int)
    number, inside, since = 0, False, 0
    for i, token in enumerate(tokens):
        if token in opening or (token in both and not inside):
            number, inside, since = number + 1, True, i
        elif inside and (token in closing or token in both or i - since > 300):
            inside = False
        elif inside:
            found[i] = number
    return found


def _speakers(quotes, tokens, starts, kinds, persons):
    """Return the mention that speaks each quotation, -1 if it is unclear."""
    n_quotes = quotes.max(initial=0)
    speakers = np.full(n_quotes + 1, -1)
    at = {}
    for i, start in enumerate(starts):
        if quotes[start] == 0 and (kinds[i] != 0 or persons[i] != 2):
            at.setdefault(start, i)
    for q in range(1, n_quotes + 1):
        inside = np.flatnonzero(quotes == q)
        if not len(inside):
            continue
        after = range(inside[-1] + 1, min(len(tokens), inside[-1] + 8))
        before = range(inside[0] - 2, max(-1, inside[0] - 9), -1)
        for places in (after, before):
            places = [p for p in places if quotes[p] == 0]
            if any(tokens[p].lower() in SPEECH for p in places):
                found = [at[p] for p in places if p in at]
                if found:
                    speakers[q] = found[0]
                    break
    return speakers


def _codes(values):
    return np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1]


def _incidence(of_mentions):
    """Return a matrix of mentions by words: 1 if the mention has the word."""
    words = sorted({word for words in of_mentions for word in words})
    place = {word: i for i, word in enumerate(words)}
    rows = [i for i, words in enumerate(of_mentions) for _ in set(words)]
    columns = [place[word] for words in of_mentions for word in set(words)]
    shape = (len(of_mentions), max(1, len(words)))
    return sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def document(content):
    """Compute the features of a document's mentions and of their pairs."""
    sentences = [sentence.split() for sentence in content["sentences"]]
    offsets = np.cumsum([0, *map(len, sentences)])
    tokens = [token for sentence in sentences for token in sentence]
    mentions = sorted(
        content["mentions"], key=lambda m: (m["sentence"], m["first_token"], -m["last_token"])
    )
    n = len(mentions)
    sentence = np.array([m["sentence"] for m in mentions])
    starts = offsets[sentence] + [m["first_token"] for m in mentions]
    ends = offsets[sentence] + [m["last_token"] for m in mentions]
    kinds = np.array([("PRON", "NOM", "PROP").index(m["kind"]) for m in mentions])
    raw = [m["text"].split() for m in mentions]
    words = [_bare(of) for of in raw]
    heads = [_head(of) for of in words]
    content_words = [
        [w for w in of if w not in NO_CONTENT and w not in STOPPERS and w[0].isalnum()] or [head]
        for of, head in zip(words, heads, strict=True)
    ]
    is_pronoun = kinds == 0
    texts = [" ".join(of) for of in words]

    persons = np.full(n, 3)
    plural = np.zeros(n, dtype=int)
    gender = np.zeros(n, dtype=int)
    case = np.full(n, 4)
    determiner = np.full(n, 5)
    for i in range(n):
        first = raw[i][0].lower()
        determiner[i] = next((k for k, of in DETERMINERS.items() if first in of), 5)
        if is_pronoun[i]:
            facts = PRONOUN.get(texts[i]) or PRONOUN.get(first)
            if facts:
                persons[i], plural[i], gender[i] = *facts[:2], NEUTRAL_TO[facts[2]]
            case[i] = next((k for k, of in enumerate(CASES) if texts[i] in of), 4)
            continue
        upto = words[i][: words[i].index(heads[i]) + 1]
        gender[i] = 1 if any(w in MALE for w in upto) else 0
        gender[i] = 2 if upto[-1] in FEMALE or (any(w in FEMALE for w in upto)) else gender[i]
        head = heads[i]
        is_plural_noun = kinds[i] == 1 and head.endswith("s") and not head.endswith(("ss", "us"))
        plural[i] = is_plural_noun or first in PLURAL or head in PLURAL or "and" in words[i][1:-1]
    # A name with "Miss" in one place is female everywhere.
    of_head = {}
    for head, g, kind in zip(heads, gender, kinds, strict=True):
        if g and kind == 2:
            of_head.setdefault(head, Counter())[g] += 1
    for i in range(n):
        if not gender[i] and kinds[i] == 2 and heads[i] in of_head and len(of_head[heads[i]]) == 1:
            gender[i] = next(iter(of_head[heads[i]]))

    quotes = _quotes(tokens)
    quote = quotes[starts]
    speaker_of = _speakers(quotes, tokens, starts, kinds, persons)
    speaker = np.where(quote > 0, speaker_of[quote], -1)
    text_code, head_code = _codes(texts), _codes(heads)
    n_texts, n_heads = np.bincount(text_code)[text_code], np.bincount(head_code)[head_code]
    place = np.arange(n)
    contains = (starts[:, None] <= starts) & (ends[:, None] >= ends) & (place[:, None] != place)
    first_in_sentence = np.r_[True, sentence[1:] != sentence[:-1]]

    def one_hot(codes, size):
        return np.eye(size, dtype=np.float32)[codes]

    hashed = {"head": 128, "ending": 64, "before": 32, "after": 32, "near": 64}
    blocks = {name: np.zeros((n, size), dtype=np.float32) for name, size in hashed.items()}
    for i in range(n):
        blocks["head"][i, _hashed(heads[i], 128)] = 1
        blocks["ending"][i, _hashed(heads[i][-3:], 64)] = 1
        before = tokens[starts[i] - 1].lower() if starts[i] else ""
        after = tokens[ends[i] + 1].lower() if ends[i] + 1 < len(tokens) else ""
        blocks["before"][i, _hashed(before, 32)] = 1
        blocks["after"][i, _hashed(after, 32)] = 1
        for token in tokens[max(0, starts[i] - 4) : starts[i]] + tokens[ends[i] + 1 : ends[i] + 5]:
            if token[0].isalpha() and len(token) > 3:
                blocks["near"][i, _hashed(token.lower(), 64)] += 0.5
    narrates = (persons == 1) & (quote == 0)
    numbers = [
        quote > 0, narrates, first_in_sentence, contains.any(axis=0), contains.any(axis=1),
        np.log1p(ends - starts), np.log(n_texts), np.log(n_heads), starts / len(tokens),
        (starts - offsets[sentence]) / 30, [of[0][0].isupper() for of in raw], speaker >= 0,
    ]  # fmt: skip
    items = np.column_stack(
        [
            one_hot(kinds, 3),
            one_hot(gender, 4),
            one_hot(persons, 4),
            plural,
            one_hot(case, 5),
            one_hot(determiner, 6),
            *numbers,
            *blocks.values(),
        ]
    ).astype(np.float32)

    # Pairs: i before j.
    i, j = np.triu_indices(n, 1)
    named = ~is_pronoun
    both_named, both_pronouns = named[i] & named[j], is_pronoun[i] & is_pronoun[j]
    same_text, same_head = text_code[i] == text_code[j], head_code[i] == head_code[j]
    W = _incidence(content_words)
    rare = np.log(n / np.maximum(1, W.sum(axis=0)))
    common = (W @ W.T).toarray()
    weighted = (W @ sparse.diags_array(rare.astype(np.float32)) @ W.T).toarray()
    n_words = W.sum(axis=1)
    places = {word: k for k, word in enumerate(sorted({w for of in content_words for w in of}))}
    head_place = np.array([places.get(head, -1) for head in heads])
    padded = np.column_stack([W.toarray(), np.zeros(n)])
    has_head = padded[:, head_place]  # [a, b]: a has the head of b
    G = _incidence([{f"^{h}$"[k : k + 3] for k in range(max(1, len(h)))} for h in heads])
    alike = (G @ G.T).toarray() / np.sqrt(np.outer(G.sum(axis=1), G.sum(axis=1)))
    known = gender > 0
    same_gender = known[i] & known[j] & (gender[i] == gender[j])
    other_gender = known[i] & known[j] & (gender[i] != gender[j])
    has_number = (persons != 2) | named
    other_number = has_number[i] & has_number[j] & (plural[i] != plural[j])
    form = _codes([f"{p}{k}{g}" for p, k, g in zip(persons, plural, gender, strict=True)])
    person_fits = persons[:, None] == persons
    fits = (
        ~(known[:, None] & known & (gender[:, None] != gender))
        & (plural[:, None] == plural)
        & person_fits
    )
    until = np.cumsum(fits, axis=0)  # [k, j]: mentions up to k that fit j
    n_fit_between = until[j - 1, j] - until[i, j]
    named_fits = np.cumsum(fits & named[:, None], axis=0)
    n_named_between = named_fits[j - 1, j] - named_fits[i, j]
    of_head_so_far = np.cumsum(one_hot(head_code, head_code.max() + 1), axis=0)
    n_head_between = of_head_so_far[j - 1, head_code[i]] - of_head_so_far[i, head_code[i]]
    n_tokens = np.maximum(0, starts[j] - ends[i] - 1)
    gap = np.minimum(n_tokens, 4)
    comma = np.array([token == "," for token in tokens], dtype=int)
    link = np.cumsum([0, *(token.lower() in LINKS for token in tokens)])
    is_link = (gap < 4) & (link[starts[j]] - link[np.minimum(ends[i] + 1, starts[j])] > 0)
    apposed = (n_tokens == 1) & (comma[np.minimum(ends[i] + 1, len(tokens) - 1)] == 1)
    apart = sentence[j] - sentence[i]
    in_i, in_j = quote[i] > 0, quote[j] > 0
    same_quote = in_i & (quote[i] == quote[j])
    quotes_apart = np.where(in_i & in_j, np.minimum(quote[j] - quote[i], 5), 0)
    says_i, says_j = (persons[i] == 1) & (speaker[i] == j), (persons[j] == 1) & (speaker[j] == i)
    spoken_i, spoken_j = (
        (persons[i] == 2) & (speaker[i] == j),
        (persons[j] == 2) & (speaker[j] == i),
    )
    both_spoken = (speaker[i] >= 0) & (speaker[j] >= 0)
    same_speaker = both_spoken & (head_code[speaker[i]] == head_code[speaker[j]])
    other_speaker = both_spoken & ~same_speaker
    left_over = np.minimum(n_words[i], n_words[j]) - common[i, j]
    columns = [
        same_text & both_named, same_text & both_pronouns, same_head & both_named,
        has_head[i, j] * both_named, has_head[j, i] * both_named,
        common[i, j] * both_named, weighted[i, j] * both_named, alike[i, j] * both_named,
        common[i, j] * both_named / (n_words[i] + n_words[j] - common[i, j]),
        (left_over > 0) & (common[i, j] > 0) & both_named,
        same_gender, other_gender, other_number, form[i] == form[j], persons[i] == persons[j],
        *(one_hot(3 * kinds[i] + kinds[j], 9).T),
        gender[i] == 1, gender[i] == 2, gender[j] == 1, gender[j] == 2, plural[i], plural[j],
        persons[i], persons[j], case[j] == 3, case[i], case[j],
        np.log1p(apart), np.log1p(n_tokens), np.log(j - i), apart == 0, apart == 1,
        contains[i, j] | contains[j, i], is_link, apposed, np.log1p(n_fit_between),
        np.log1p(n_named_between), np.log1p(n_head_between),
        np.log(n_heads[i]), np.log(n_heads[j]), np.log(n_texts[i]), np.log(n_texts[j]),
        determiner[i], determiner[j], determiner[j] == 0, first_in_sentence[i],
        first_in_sentence[j], in_i & ~in_j, in_j & ~in_i, in_i & in_j, same_quote, quotes_apart,
        narrates[i] & narrates[j], says_i | says_j, spoken_i | spoken_j, same_speaker,
        other_speaker, np.log1p(ends[i] - starts[i]), np.log1p(ends[j] - starts[j]),
        i / n, j / n,
    ]  # fmt: skip
    pairs = np.column_stack([np.asarray(column, dtype=np.float16) for column in columns])
    clusters = np.unique([m["cluster"] for m in mentions], return_inverse=True)[1]
    categories = np.array([m["category"] for m in mentions])
    strings = _codes([m["text"].lower() for m in mentions])
    return Document(content["document"], items, pairs, clusters, categories, strings, head_code)
