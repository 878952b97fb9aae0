"""Languages: reads a code, and proposes a code for a word or for another code. Pure.

A word is never read as a language: the message only proposes the code.
"""

from __future__ import annotations

import re

from importer.rules.cells import LANGUAGES, Invalid

_BY_NAME = {language.lower(): language for language in LANGUAGES} | {"en-gb": "en"}
_WORDS = {
    "en": "eng english englisch anglais inglés inglese engels inglês angielski 英語 英语",
    "de": "deu ger german deutsch allemand alemán tedesco duits alemão niemiecki ドイツ語 德语",
    "fr": "fra fre french französisch français francés francese frans francês francuski フランス語 法语",
    "es": "spa spanish spanisch espagnol español castellano spagnolo spaans espanhol hiszpański スペイン語 西班牙语",
    "it": "ita italian italienisch italien italiano italiaans włoski イタリア語 意大利语",
    "nl": "nld dut dutch niederländisch holländisch néerlandais neerlandés olandese nederlands holandês niderlandzki",
    "pt": "por portuguese portugiesisch portugais portugués portoghese portugees português portugalski ポルトガル語",
    "pl": "pol polish polnisch polonais polaco polacco pools polonês polski",
    "ja": "jpn jp japanese japanisch japonais japonés giapponese japans japonês japoński 日本語 日语",
    "zh": "zho chi chinese chinesisch chinois chino cinese chinees chinês chiński mandarin 中文 汉语 中国語",
    "ar": "ara arabic arabisch arabe árabe arabo arabski العربية",
}
_BASES = {word: base for base, words in _WORDS.items() for word in words.split()}
_KINDS = {
    "en-US": "us usa states american america amerikanisch",
    "en": "uk gb kingdom british britain britisch",
    "pt-BR": "br brazil brazilian brasil brasilien brasilianisch brasileiro",
    "zh-CN": "hans cn sg simplified simplifié vereinfacht 简体",
    "zh-TW": "hant tw hk mo traditional traditionnel traditionell 繁體",
}


def check_language(text: str) -> str | Invalid:
    """Return the language with the code `text`, in any case and with `_` for `-`; or what is wrong with it."""
    language = _BY_NAME.get(text.lower().replace("_", "-"))
    if language:
        return language
    meant = languages_meant(text)
    hint = f"Did you mean {' or '.join(meant)}?" if meant else f"Write one of: {', '.join(LANGUAGES)}."
    return Invalid("unknown_language", f"No such language. {hint}")


def languages_meant(text: str) -> list[str]:
    """Return the languages that `text` may mean: one if it is clear, none if unknown."""
    words = re.findall(r"[^\W_]+", text.lower())
    bases = {base for word in words if (base := _BASES.get(word, word)) in _WORDS}
    if len(bases) != 1:
        return []
    base = bases.pop()
    known = [language for language in LANGUAGES if language.split("-")[0] == base]
    kinds = [language for language in known if language in _KINDS and set(_KINDS[language].split()) & set(words)]
    if len(kinds) == 1:
        return kinds
    return [base] if base in known else known
