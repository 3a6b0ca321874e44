"""Short pages of mathematics and of other things, as many as a test asks for, all different."""

from __future__ import annotations

_MATHEMATICS = (
    "Let $f_{n}(x) = x^{n} + {n}x$ be a polynomial. We prove that $f_{n}$ is continuous on every interval.",
    "Theorem {n}. Every group of order ${n}$ has an element whose order divides ${n}$. Proof: by Lagrange.",
    "Solve the equation ${n}x + 3 = {m}$. Subtract 3 from both sides and divide by ${n}$ to find $x$.",
    "The integral $\\int_0^{{n}} x^2 dx$ equals $\\frac{{{n}^3}}{{3}}$, as the antiderivative shows.",
    "Add the fractions 1/{n} and 2/{n}: the denominators agree, so the sum of the numerators is 3.",
)
_OTHER = (
    "The village held its market on day {n} of the month, and the baker sold bread to every traveller.",
    "She walked along the river for {n} hours, thinking of the letter her sister had sent in spring.",
    "Our team met {n} times this year to talk about hiring, travel and the new office near the station.",
    "Stir the soup, add a spoon of butter, and let it rest for {n} minutes before serving it with herbs.",
    "The senate voted {n} to {m} after a long debate about harbours, taxes and the governor's speech.",
)


def mathematics(count: int) -> list[str]:
    """``count`` different pages of mathematics."""
    return [_page(_MATHEMATICS, number) for number in range(count)]


def other(count: int) -> list[str]:
    """``count`` different pages that are not mathematics."""
    return [_page(_OTHER, number) for number in range(count)]


def _page(sentences: tuple[str, ...], number: int) -> str:
    chosen = [sentences[(number + step) % len(sentences)] for step in range(2)]
    text = "\n\n".join(chosen)
    return text.replace("{n}", str(number + 2)).replace("{m}", str(2 * number + 7))
