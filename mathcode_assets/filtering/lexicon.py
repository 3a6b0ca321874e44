"""The words that speak for mathematics or for programming, as a hash table that compiled code can probe."""

from __future__ import annotations

import numpy as np

STRICT, MATHEMATICAL, PROGRAMMING, LINE_STARTER = 1, 2, 3, 4

_STRICT_WORDS = """
theorem theorems lemma lemmas corollary polynomial polynomials homomorphism homomorphisms isomorphism
isomorphic isomorphisms automorphism morphism morphisms functor integer integers eigenvalue eigenvalues
eigenvector eigenvectors equation equations inequality inequalities denominator denominators numerator
numerators derivative derivatives integral integrals integrable matrix matrices bijection bijective injective
surjective continuous differentiable converge converges convergent convergence variance probability
probabilities proof proofs proposition fraction fractions exponent exponents exponential algebra algebraic
topology topological modulo vertex vertices coefficient coefficients subset subsets logarithm logarithms
geometry geometric triangle triangles determinant quadratic cubic orthogonal perpendicular parabola hyperbola
ellipse cardinality countable congruent divisible divisor permutation permutations binomial abelian ideal
finite infinite infinity rational irrational arithmetic factorial cosine tangent sine trigonometric vector
vectors scalar linear nonlinear disjoint axiom axioms conjecture regression quartile quartiles median
"""
_MATHEMATICAL_WORDS = """
definition function functions limit limits sequence sequences series set sets group groups ring rings field
fields module metric norm bounded compact convex angle angles radius diameter circle decimal decimals random
variable variables mean deviation distribution hypothesis sample samples estimator correlation prior
posterior prime primes graph graphs edge edges induction suppose let denote denotes denoted satisfies
satisfying hence thus therefore implies implied iff exists unique arbitrary dimension basis span kernel
constant term terms sum sums product products quotient multiply multiplying multiplication divide divided
division subtract subtracting subtraction add adding addition simplify simplifying solve solving solution
solutions calculate calculating compute exercise exercises example examples given formula formulas real
complex zero root roots square squares cube slope intercept axis coordinate coordinates plot histogram
percent ratio ratios proportion area volume perimeter union intersection element elements digit digits even
odd positive negative parallel equals equal number numbers value values interval intervals statement logic
map maps space spaces
"""
_PROGRAMMING_WORDS = """
api http https json xml html css python java javascript typescript rust php sql compiler compile compiled
runtime syntax server servers browser install installed installation command commands package packages library
libraries repository github git debug debugging async await callback thread threads pointer pointers struct
string strings boolean int null void return returns import imports class classes method methods parameter
parameters argument arguments array arrays loop loops code program programs programming programmer software
module modules docker linux windows terminal npm pip config configuration database query plugin framework
interface object objects dataset dataloader tensor tensors gpu cpu parse parser buffer
"""

# Words that begin a line of code, and only in lower case.
_LINE_STARTERS = """
def import return const var pub fn elif sudo pip npm git cd curl print printf public private static void
using include foreach endif struct enum func echo export mkdir console
"""

TABLE_SIZE = 4096  # a power of two, sparse enough that a probe is short
FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)


def fnv1a(word: bytes) -> int:
    """64-bit FNV-1a hash."""
    value = int(FNV_OFFSET)
    for byte in word:
        value = ((value ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return value


def lexicon_table() -> tuple[np.ndarray, np.ndarray]:
    """Open addressing: hashes of lower-case words, and a bit set of the classes each word is in.

    Bit 0 `STRICT`, bit 1 `MATHEMATICAL`, bit 2 `PROGRAMMING`, bit 3 `LINE_STARTER`; 0 marks a free slot.
    """
    keys = np.zeros(TABLE_SIZE, dtype=np.uint64)
    classes = np.zeros(TABLE_SIZE, dtype=np.uint8)
    lists = {
        STRICT: _STRICT_WORDS,
        MATHEMATICAL: _MATHEMATICAL_WORDS,
        PROGRAMMING: _PROGRAMMING_WORDS,
        LINE_STARTER: _LINE_STARTERS,
    }
    for number, words in lists.items():
        for word in words.split():
            key = fnv1a(word.encode())
            slot = key & (TABLE_SIZE - 1)
            while classes[slot] and int(keys[slot]) != key:
                slot = (slot + 1) & (TABLE_SIZE - 1)
            keys[slot] = key
            classes[slot] |= 1 << (number - 1)
    return keys, classes
