"""How numbers and texts are written for people."""

import math


def percent(share: float, digits: int = 1) -> str:
    """A lift for people: signed, with a true minus.

    >>> percent(0.0417), percent(-0.2, 0), percent(-0.0001), percent(float("nan"))
    ('+4.2%', '−20%', '0.0%', 'n/a')
    """
    if not math.isfinite(share):
        return "n/a"
    value = round(share * 100, digits) + 0.0
    return f"{value:{'+' if value else ''}.{digits}f}%".replace("-", "−")


def number(value: float | None) -> str:
    """A measured number for people: whole above 100, else three digits.

    >>> number(12345.6), number(0.01234), number(3), number(None)
    ('12,346', '0.0123', '3', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def p_value(value: float) -> str:
    """
    >>> p_value(0.0004), p_value(0.0312), p_value(float("nan"))
    ('< 0.001', '0.031', '')
    """
    if not math.isfinite(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def per_request(value: float) -> str:
    """
    >>> per_request(0.13117), per_request(float("nan"))
    ('0.1312', 'n/a')
    """
    return f"{value:.4f}" if math.isfinite(value) else "n/a"


def reading(low: float, high: float, more_is_better: bool = True) -> str:
    """better, worse or unclear: what the interval of a lift says.

    >>> reading(0.01, 0.05), reading(0.01, 0.05, more_is_better=False), reading(-0.01, 0.05)
    ('better', 'worse', 'unclear')
    """
    if low > 0:
        return "better" if more_is_better else "worse"
    if high < 0:
        return "worse" if more_is_better else "better"
    return "unclear"


def short(text: object, most: int = 80) -> str:
    """One line of printable text, at most `most` characters.

    >>> short("a  very\\n\\tlong\\x00 title", 12)
    'a very long…'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text or "")).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
