"""Names of languages, as models call them."""

from __future__ import annotations

__all__ = ["three_letters", "two_letters"]


def two_letters(language: str) -> str:
    """
    Return the shortest ISO 639 code of *language*, or what was given where it is none.

    Example:
        >>> two_letters("deu"), two_letters("pt-BR"), two_letters("haw")
        ('de', 'pt', 'haw')
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        code = langcodes.Language.get(language).language
    except LanguageTagError:
        return language.lower()
    return code or language.lower()


def three_letters(language: str) -> str:
    """
    Return the ISO 639-3 code of *language*, or what was given where it is none.

    Example:
        >>> three_letters("de"), three_letters("zh"), three_letters("fra")
        ('deu', 'cmn', 'fra')
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    code = two_letters(language)
    try:
        alpha3: str = langcodes.Language.get(code).to_alpha3()
    except (LookupError, LanguageTagError):
        return language.lower()
    return {"zho": "cmn"}.get(alpha3, alpha3)  # models know Chinese as its largest member
