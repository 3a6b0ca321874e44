r"""Answers as models write them, and what a reader finds in them.

Each case is one answer and its rows. A row names the parts a reader would copy out; a part that is left out is
empty. `problem` says why a row cannot be used. Most answers are about three computations that are easy to keep
apart: a circle of radius 3 (28.27), the sum of the first ten numbers (55), a root (x = 4).
"""

from __future__ import annotations

from dataclasses import dataclass

CIRCLE = "import math\nprint(round(math.pi * 3**2, 2))"
SUM = "print(sum(range(1, 11)))"
ROOT = "import sympy as sp\nx = sp.symbols('x', positive=True)\nprint(sp.solve(x**2 - 16, x)[0])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    expression: str = ""
    result: str = ""
    code: str = ""
    problem: str = ""
    conditions: str | None = None
    """None: not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    answer: str
    rows: tuple[Row, ...]
    finish_reason: str = "stop"
    language: str = "python"


CIRCLE_ROW = Row(expression=r"\pi r^2", result="28.27", code=CIRCLE)
SUM_ROW = Row(expression=r"\sum_{k=1}^{10} k", result="55", code=SUM)
ROOT_ROW = Row(expression="x^2 = 16", result="x = 4", code=ROOT)

TITLES = [
    Case(
        name="as asked",
        answer=f"""\
### Computation 1

**Conditions needed:** A circle has radius $r = 3$.

**Computation expression:** $\\pi r^2$

**Computation result:** $28.27$

**Python code:**
```python
{CIRCLE}
```
""",
        rows=(Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, conditions="A circle has radius $r = 3$."),),
    ),
    Case(
        name="two computations, plain numbered titles, no bold",
        answer=f"""\
1. Conditions Needed: The radius is 3.
2. Computation Expression: $\\pi r^2$
3. Computation Result: 28.27
4. Python Code:
```python
{CIRCLE}
```

1. Conditions Needed: None
2. Computation Expression: $\\sum_{{k=1}}^{{10}} k$
3. Computation Result: 55
4. Python Code:
```python
{SUM}
```""",
        rows=(
            Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, conditions="The radius is 3."),
            Row(expression=r"\sum_{k=1}^{10} k", result="55", code=SUM, conditions=""),
        ),
    ),
    Case(
        name="plain titles without numbers or blank lines",
        answer=f"""\
Conditions: r = 3
Expression: $\\pi r^2$
Result: 28.27
Code:
```
{CIRCLE}
```
Conditions: the first ten numbers
Expression: $\\sum_{{k=1}}^{{10}} k$
Result: 55
Code:
```
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="colon outside the bold",
        answer=f"""\
**Conditions Needed**: r is 3
**Computation Expression**: \\(\\pi r^2\\)
**Computation Result**: \\(28.27\\)
**Python Code Snippet**:
```py
{CIRCLE}
```""",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="headings of several levels, content below them",
        answer=f"""\
# Computation 1: area of the circle

## Conditions needed

The radius is 3.

## Computation expression

$$
\\pi r^2
$$

## Computation result

$$28.27$$

## Python code

```python
{CIRCLE}
```

# Computation 2: the sum

## Conditions needed

None.

## Computation expression

\\[ \\sum_{{k=1}}^{{10}} k \\]

## Computation result

\\[ 55 \\]

## Python code

```python
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="bold numbered titles in capitals",
        answer=f"""\
**1. CONDITIONS NEEDED:**
r = 3

**2. COMPUTATION EXPRESSION:**
$\\pi r^2$

**3. COMPUTATION RESULT:**
$28.27$

**4. PYTHON CODE SNIPPET:**
```Python
{CIRCLE}
```""",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="numbers before the bold, lettered",
        answer=f"""\
(a) **Conditions**: r = 3
(b) **Latex expression**: $\\pi r^2$
(c) **Final answer**: $28.27$
(d) **Code**:
```python3
{CIRCLE}
```""",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="bulleted list",
        answer="""\
**Computation 1**

- Conditions needed: r = 3
- Computation expression: $\\pi r^2$
- Computation result: $28.27$
- Python code:

  ```python
  import math
  print(round(math.pi * 3**2, 2))
  ```

**Computation 2**

- Conditions needed: none
- Computation expression: $x^2 = 16$
- Computation result: $x = 4$
- Python code:

  ```python
  import sympy as sp
  x = sp.symbols('x', positive=True)
  print(sp.solve(x**2 - 16, x)[0])
  ```""",
        rows=(CIRCLE_ROW, ROOT_ROW),
    ),
    Case(
        name="header without mark-up, subject after it",
        answer=f"""\
Computation 1:
Conditions: r = 3
Expression: $\\pi r^2$
Result: $28.27$
```python
{CIRCLE}
```
Computation 2:
Conditions: n = 10
Expression: $\\sum_{{k=1}}^{{10}} k$
Result: $55$
```python
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="lower case, given instead of conditions, answer instead of result",
        answer=f"given: r = 3\nformula: $\\pi r^2$\nanswer: $28.27$\nprogram:\n```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="code before the result",
        answer=f"""\
**Conditions needed:** r = 3
**Computation expression:** $\\pi r^2$
**Python code:**
```python
{CIRCLE}
```
**Computation result:** $28.27$

**Conditions needed:** none
**Computation expression:** $\\sum_{{k=1}}^{{10}} k$
**Python code:**
```python
{SUM}
```
**Computation result:** $55$""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="conditions with titles of their own in them",
        answer=f"""\
**Conditions needed:**
- Given: a circle
- Value: r = 3

**Computation expression:** $\\pi r^2$

**Computation result:** $28.27$

**Python code:**
```python
{CIRCLE}
```""",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code=CIRCLE,
                conditions="- Given: a circle\n- Value: r = 3",
            ),
        ),
    ),
    Case(
        name="title and description of each computation are remarks",
        answer=f"""\
### Computation 1
**Title:** Area
**Description:** The area of a circle.
**Conditions needed:** r = 3
**Computation expression:** $\\pi r^2$
**Computation result:** $28.27$
**Python code:**
```python
{CIRCLE}
```
**Explanation:** The square of the radius times $\\pi$.""",
        rows=(Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, conditions="r = 3"),),
    ),
    Case(
        name="chatter before, between and after",
        answer=f"""\
Sure! Here are the computations I found in the text:

**Conditions needed:** r = 3
**Computation expression:** $\\pi r^2$
**Computation result:** $28.27$
**Python code:**
```python
{CIRCLE}
```
This program squares the radius.

**Conditions needed:** none
**Computation expression:** $\\sum_{{k=1}}^{{10}} k$
**Computation result:** $55$
**Python code:**
```python
{SUM}
```
I hope this helps! Let me know if there is anything else.""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="HTML bold",
        answer="<b>Conditions</b>: r = 3\n<b>Expression</b>: $\\pi r^2$\n<b>Result</b>: $28.27$\n```python\n"
        f"{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="block quote",
        answer="""\
> **Conditions needed:** r = 3
> **Computation expression:** $\\pi r^2$
> **Computation result:** $28.27$
> **Python code:**
> ```python
> import math
> print(round(math.pi * 3**2, 2))
> ```""",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="second computation in another style than the first",
        answer=f"""\
### Computation 1
**Conditions needed:** r = 3
**Computation expression:** $\\pi r^2$
**Computation result:** $28.27$
**Python code:**
```python
{CIRCLE}
```

Conditions: none
Expression: $\\sum_{{k=1}}^{{10}} k$
Result: 55
Python: 
```python
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
]

UNTITLED = [
    Case(
        name="prose with an equation, then the program",
        answer=f"The area of a circle of radius 3 is $\\pi r^2 = 28.27$.\n\n```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="two of them, one after the other",
        answer=f"""\
The area is $\\pi r^2 = 28.27$:

```python
{CIRCLE}
```

The first ten numbers add up to $\\sum_{{k=1}}^{{10}} k = 55$:

```python
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="expression and result as two formulas",
        answer=f"A circle of radius 3.\n\n$$\\pi r^2$$\n\n$$28.27$$\n\n```python\n{CIRCLE}\n```",
        rows=(Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, conditions="A circle of radius 3."),),
    ),
    Case(
        name="a program and nothing else",
        answer=f"```python\n{SUM}\n```",
        rows=(Row(code=SUM, problem="no_expression"),),
    ),
    Case(
        name="two programs without titles or formulas",
        answer=f"```python\n{CIRCLE}\n```\n\nAnd the other one:\n\n```python\n{SUM}\n```",
        rows=(Row(code=f"{CIRCLE}\n\n{SUM}", problem="several_programs"),),
    ),
]

FENCES = [
    Case(
        name="set-up and computation in two blocks",
        answer="""\
**Conditions:** r = 3
**Expression:** $\\pi r^2$
**Result:** $28.27$
**Code:**
```python
import math
radius = 3
```
Then compute:
```python
print(round(math.pi * radius**2, 2))
```""",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code="import math\nradius = 3\n\nprint(round(math.pi * radius**2, 2))",
            ),
        ),
    ),
    Case(
        name="two whole programs under one title",
        answer=f"""\
**Conditions:** r = 3
**Expression:** $\\pi r^2$
**Result:** $28.27$
**Code:**
```python
{CIRCLE}
```
Or, in another way:
```python
print(3 * 3 * 3.14159)
```""",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code=f"{CIRCLE}\n\nprint(3 * 3 * 3.14159)",
                problem="several_programs",
            ),
        ),
    ),
    Case(
        name="the same program twice is one",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$\n```python\n{CIRCLE}\n```\nAgain:\n```python\n"
        f"{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="tildes",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$\n**Code:**\n~~~python\n{CIRCLE}\n~~~",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="tildes around back-ticks",
        answer='**Expression:** $1+1$\n**Result:** 2\n**Code:**\n~~~python\nfence = "```"\nprint(1 + 1)\n~~~',
        rows=(Row(expression="1+1", result="2", code='fence = "```"\nprint(1 + 1)'),),
    ),
    Case(
        name="four back-ticks around a string with three",
        answer='**Expression:** $1+1$\n**Result:** 2\n````python\ntext = """\n```\n"""\nprint(1 + 1)\n````',
        rows=(Row(expression="1+1", result="2", code='text = """\n```\n"""\nprint(1 + 1)'),),
    ),
    Case(
        name="unclosed at the end keeps its last character",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$\n**Code:**\n```python\n{CIRCLE}",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="unclosed, then the next computation",
        answer=f"""\
### Computation 1

**Conditions needed:** r = 3
**Computation expression:** $\\pi r^2$
**Computation result:** $28.27$
**Python code:**
```python
{CIRCLE}

### Computation 2

**Conditions needed:** none
**Computation expression:** $\\sum_{{k=1}}^{{10}} k$
**Computation result:** $55$
**Python code:**
```python
{SUM}
```""",
        rows=(CIRCLE_ROW, SUM_ROW),
    ),
    Case(
        name="unclosed in the middle of a statement, then the next computation",
        answer=f"""\
**Computation expression:** $\\pi r^2$
**Computation result:** $28.27$
**Python code:**
```python
import math
print(round(math.pi *

**Computation expression:** $\\sum_{{k=1}}^{{10}} k$
**Computation result:** $55$
**Python code:**
```python
{SUM}
```""",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code="import math\nprint(round(math.pi *",
                problem="unclosed_fence",
            ),
            SUM_ROW,
        ),
    ),
    Case(
        name="titles as comments inside one whole program",
        answer="""\
**Expression:** $2+3$
**Result:** 5
**Code:**
```python
# Conditions: a = 2
a = 2
# Result: 5
print(a + 3)
```""",
        rows=(Row(expression="2+3", result="5", code="# Conditions: a = 2\na = 2\n# Result: 5\nprint(a + 3)"),),
    ),
    Case(
        name="fence closed at the end of the last line of code",
        answer=f"**Expression:** $\\sum_{{k=1}}^{{10}} k$\n**Result:** 55\n**Code:**\n```python\n{SUM}```\nDone.",
        rows=(SUM_ROW,),
    ),
    Case(
        name="fence opened at the end of the title",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$\n**Python code:** ```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="whole block on one line",
        answer=f"Expression: $\\sum_{{k=1}}^{{10}} k$\nResult: 55\nCode:\n```python {SUM} ```",
        rows=(SUM_ROW,),
    ),
    Case(
        name="code on the line of the opening mark",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$\n```{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="language with attributes",
        answer=f'**Expression:** $\\pi r^2$\n**Result:** $28.27$\n```{{.python title="area.py"}}\n{CIRCLE}\n```',
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="output block after the program is no program",
        answer=f"""\
**Expression:** $\\sum_{{k=1}}^{{10}} k$
**Result:** 55
**Code:**
```python
{SUM}
```
**Output:**
```
55
```""",
        rows=(SUM_ROW,),
    ),
    Case(
        name="output fence by its word",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}\n```\n```output\n28.27\n```\n"
        "```text\nok\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="expected output stands for a result that is missing",
        answer=f"**Expression:** $\\sum_{{k=1}}^{{10}} k$\n**Code:**\n```python\n{SUM}\n```\n**Expected output:** 55",
        rows=(SUM_ROW,),
    ),
    Case(
        name="install command before the program",
        answer="**Expression:** $x^2 = 16$\n**Result:** $x = 4$\n**Code:**\n```bash\npip install sympy\n```\n"
        f"```python\n{ROOT}\n```",
        rows=(ROOT_ROW,),
    ),
    Case(
        name="formula in a latex fence",
        answer="**Expression:**\n```latex\n\\pi r^2\n```\n**Result:**\n```\n28.27\n```\n**Code:**\n```python\n"
        f"{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="another language",
        answer="**Expression:** $1+1$\n**Result:** 2\n**Code:**\n```javascript\nconsole.log(1 + 1)\n```",
        rows=(Row(expression="1+1", result="2", code="console.log(1 + 1)", problem="wrong_language"),),
    ),
    Case(
        name="interactive session",
        answer="**Expression:** $6 \\cdot 7$\n**Result:** 42\n```python\n>>> a = 6\n>>> for b in [7]:\n"
        "...     print(a * b)\n42\n```",
        rows=(Row(expression=r"6 \cdot 7", result="42", code="a = 6\nfor b in [7]:\n    print(a * b)"),),
    ),
    Case(
        name="indented code without a fence",
        answer="Expression: $\\pi r^2$\nResult: 28.27\nCode:\n\n    import math\n"
        "    print(round(math.pi * 3**2, 2))\n\nThis prints it.",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="code without fence or indentation",
        answer=f"Expression: $\\pi r^2$\nResult: 28.27\nPython code:\n{CIRCLE}\n",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="prose where the code should be",
        answer="**Expression:** $\\pi r^2$\n**Result:** 28.27\n**Code:**\nUse the formula above in a program.",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code="Use the formula above in a program.",
                problem="unfenced_code",
            ),
        ),
    ),
    Case(
        name="empty fence",
        answer="**Expression:** $\\pi r^2$\n**Result:** 28.27\n**Code:**\n```python\n```",
        rows=(Row(expression=r"\pi r^2", result="28.27", problem="no_code"),),
    ),
]

PARTS = [
    Case(
        name="no code",
        answer="**Conditions:** r = 3\n**Expression:** $\\pi r^2$\n**Result:** $28.27$",
        rows=(Row(expression=r"\pi r^2", result="28.27", problem="no_code"),),
    ),
    Case(
        name="no result, then a whole one",
        answer=f"""\
**Conditions:** r = 3
**Expression:** $\\pi r^2$
```python
{CIRCLE}
```

**Conditions:** none
**Expression:** $\\sum_{{k=1}}^{{10}} k$
**Result:** 55
```python
{SUM}
```""",
        rows=(Row(expression=r"\pi r^2", code=CIRCLE, problem="no_result"), SUM_ROW),
    ),
    Case(
        name="a computation without code does not take the next one's",
        answer=f"""\
**Conditions:** r = 3
**Expression:** $\\pi r^2$
**Result:** $28.27$

**Conditions:** none
**Expression:** $\\sum_{{k=1}}^{{10}} k$
**Result:** 55
**Code:**
```python
{SUM}
```""",
        rows=(Row(expression=r"\pi r^2", result="28.27", problem="no_code"), SUM_ROW),
    ),
    Case(
        name="result says not applicable",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** N/A\n```python\n{CIRCLE}\n```",
        rows=(Row(expression=r"\pi r^2", code=CIRCLE, problem="no_result"),),
    ),
    Case(
        name="two results one after the other",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n**Result:** 28.3\n```python\n{CIRCLE}\n```",
        rows=(Row(expression=r"\pi r^2", result="28.27\n28.3", code=CIRCLE, problem="several_results"),),
    ),
    Case(
        name="result said again after the code",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}\n```\n**Result:** 28.27",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="headers alone",
        answer="### Computation 1\n\n### Computation 2\n",
        rows=(Row(problem="no_code"), Row(problem="no_code")),
    ),
    Case(
        name="program that states its result",
        answer='**Expression:** $70 + \\frac{9}{\\sqrt{100}}$\n**Result:** $70.9$\n```python\nprint("70.9")\n```',
        rows=(
            Row(expression=r"70 + \frac{9}{\sqrt{100}}", result="70.9", code='print("70.9")', problem="constant_code"),
        ),
    ),
    Case(
        name="program that computes, then prints a literal",
        answer="**Expression:** $3 \\cdot 4$\n**Result:** 12\n```python\narea = 3 * 4\nprint(f'The area is {12}')\n```",
        rows=(
            Row(
                expression=r"3 \cdot 4",
                result="12",
                code="area = 3 * 4\nprint(f'The area is {12}')",
                problem="constant_code",
            ),
        ),
    ),
    Case(
        name="words printed by a branch are computed",
        answer="**Expression:** $7 \\bmod 2 = 1$\n**Result:** odd\n```python\nif 7 % 2:\n    print('odd')\nelse:\n"
        "    print('even')\n```",
        rows=(
            Row(
                expression=r"7 \bmod 2 = 1",
                result="odd",
                code="if 7 % 2:\n    print('odd')\nelse:\n    print('even')",
            ),
        ),
    ),
    Case(
        name="repetition loop",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}\n```\n\n" * 4,
        rows=(
            CIRCLE_ROW,
            *[Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, problem="repeated")] * 3,
        ),
    ),
]

VALUES = [
    Case(
        name="result in prose",
        answer="**Expression:** \\[\\pi r^2\\]\n"
        f"**Result:** The result is approximately 28.27 square meters, so it will do.\n```python\n{CIRCLE}\n```",
        rows=(Row(expression=r"\pi r^2", result="28.27 square meters", code=CIRCLE),),
    ),
    Case(
        name="boxed result in prose",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** Therefore the area is $\\boxed{{28.27}}$.\n```python\n"
        f"{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="boxed fraction",
        answer="**Expression:** $1/2 + 1/4$\n**Result:** \\boxed{\\frac{3}{4}}\n```python\n"
        "from fractions import Fraction\nprint(Fraction(1, 2) + Fraction(1, 4))\n```",
        rows=(
            Row(
                expression="1/2 + 1/4",
                result=r"\frac{3}{4}",
                code="from fractions import Fraction\nprint(Fraction(1, 2) + Fraction(1, 4))",
            ),
        ),
    ),
    Case(
        name="unit outside the formula",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** $28.27$ cm^2\n```python\n{CIRCLE}\n```",
        rows=(Row(expression=r"\pi r^2", result="28.27 cm^2", code=CIRCLE),),
    ),
    Case(
        name="brackets in brackets",
        answer="**Expression:** \\[ \\left[ \\frac{x^3}{3} \\right]_0^3 \\]\n**Result:** \\( 9 \\)\n```python\n"
        "print(3**3 // 3)\n```",
        rows=(Row(expression=r"\left[ \frac{x^3}{3} \right]_0^3", result="9", code="print(3**3 // 3)"),),
    ),
    Case(
        name="back-ticks and a full stop around values",
        answer=f"**Expression:** `sum(1..10)`.\n**Result:** `55`.\n```python\n{SUM}\n```",
        rows=(Row(expression="sum(1..10)", result="55", code=SUM),),
    ),
    Case(
        name="two formulas in a result are not chosen from",
        answer=f"**Expression:** $x^2 = 16$\n**Result:** $x = 4$ or $x = -4$\n```python\n{ROOT}\n```",
        rows=(Row(expression="x^2 = 16", result="$x = 4$ or $x = -4$", code=ROOT),),
    ),
    Case(
        name="money is no formula",
        answer="**Expression:** $12 \\cdot 5$\n**Result:** $60\n```python\nprint(12 * 5)\n```",
        rows=(Row(expression=r"12 \cdot 5", result="$60", code="print(12 * 5)"),),
    ),
    Case(
        name="prose around one formula in the expression",
        answer="**Expression:** The expression is $\\pi r^2$, where r is the radius.\n**Result:** 28.27\n"
        f"```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="display over several lines",
        answer=f"**Expression:**\n\\begin{{equation*}}\n\\pi r^2\n\\end{{equation*}}\n**Result:**\n$$\n28.27\n$$\n"
        f"```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
]

JSON = [
    Case(
        name="as asked",
        answer='{"computations": [{"conditions": "r = 3", "expression": "$\\\\pi r^2$", "result": "28.27", '
        '"code": "import math\\nprint(round(math.pi * 3**2, 2))"}]}',
        rows=(Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, conditions="r = 3"),),
    ),
    Case(
        name="in a fence with chatter, other keys, a number as result",
        answer='Here is the JSON:\n```json\n[{"conditions_needed": [], "latex_expression": "\\\\sum_{k=1}^{10} k", '
        '"computation_result": 55, "python_code": "print(sum(range(1, 11)))"}]\n```\nDone.',
        rows=(Row(expression=r"\sum_{k=1}^{10} k", result="55", code=SUM, conditions=""),),
    ),
    Case(
        name="empty list",
        answer='{"computations": []}',
        rows=(),
    ),
    Case(
        name="cut off in the second item",
        answer='{"computations": [{"conditions": "", "expression": "\\\\sum_{k=1}^{10} k", "result": "55", '
        '"code": "print(sum(range(1, 11)))"}, {"conditions": "r = 3", "expre',
        finish_reason="length",
        rows=(SUM_ROW, Row(problem="truncated")),
    ),
    Case(
        name="backslashes not doubled",
        answer='{"computations": [{"conditions": "", "expression": "\\frac{\\sqrt{16}}{1} \\times 1", "result": "4", '
        '"code": "print(int(16**0.5))"}]}',
        rows=(Row(expression=r"\frac{\sqrt{16}}{1} \times 1", result="4", code="print(int(16**0.5))"),),
    ),
    Case(
        name="code in a fence inside the string",
        answer='{"conditions": "", "expression": "\\\\sum_{k=1}^{10} k", "result": "$55$", '
        '"code": "```python\\nprint(sum(range(1, 11)))\\n```"}',
        rows=(SUM_ROW,),
    ),
    Case(
        name="second item is broken",
        answer='{"computations": [{"expression": "1+1", "result": "2", "code": "print(1 + 1)"}, {"expression" "1"}]}',
        rows=(Row(expression="1+1", result="2", code="print(1 + 1)"), Row(problem="invalid_json")),
    ),
    Case(
        name="one object a line",
        answer='{"expression": "1+1", "result": "2", "code": "print(1 + 1)"}\n'
        '{"expression": "2+2", "result": "4", "code": "print(2 + 2)"}\n'
        '{"expression": "3+3", "res',
        rows=(
            Row(expression="1+1", result="2", code="print(1 + 1)"),
            Row(expression="2+2", result="4", code="print(2 + 2)"),
            Row(problem="truncated"),
        ),
    ),
    Case(
        name="item without code",
        answer='{"computations": [{"expression": "1+1", "result": "2"}]}',
        rows=(Row(expression="1+1", result="2", problem="no_code"),),
    ),
]

WHOLE = [
    Case(name="none, as asked", answer="No computations.", rows=()),
    Case(
        name="none, in a sentence",
        answer="There are no complex computations in the given text, which is a list of recipes.",
        rows=(),
    ),
    Case(name="none, in other words", answer="The passage does not contain any mathematical computations.", rows=()),
    Case(name="none, under a header", answer="### Computation 1\n\nNo computations.", rows=()),
    Case(
        name="denial in chatter around a computation",
        answer=f"There are no other computations.\n\nExpression: $\\pi r^2$\nResult: 28.27\n```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(name="refusal", answer="I'm sorry, but I can't help with that.", rows=(Row(problem="refusal"),)),
    Case(name="nothing of the kind", answer="The passage is about cats.", rows=(Row(problem="unparsed"),)),
    Case(name="empty", answer="  \n", rows=(Row(problem="empty_answer"),)),
    Case(
        name="cut off inside the code",
        answer="**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\nimport math\nprint(1)\nprint(round(math",
        finish_reason="length",
        rows=(
            Row(
                expression=r"\pi r^2",
                result="28.27",
                code="import math\nprint(1)\nprint(round(math",
                problem="truncated",
            ),
        ),
    ),
    Case(
        name="cut off where the code is whole as far as it goes",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}",
        finish_reason="length",
        rows=(Row(expression=r"\pi r^2", result="28.27", code=CIRCLE, problem="truncated"),),
    ),
    Case(
        name="cut off in the second computation",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}\n```\n\n"
        f"**Expression:** $\\sum_{{k=1}}^{{10}} k$",
        finish_reason="length",
        rows=(CIRCLE_ROW, Row(expression=r"\sum_{k=1}^{10} k", problem="truncated")),
    ),
    Case(
        name="cut off in the chatter after the last one",
        answer=f"**Expression:** $\\pi r^2$\n**Result:** 28.27\n```python\n{CIRCLE}\n```\nThis program",
        finish_reason="length",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="draft of a reasoning model is no answer",
        answer=f"<think>\nResult: 3?\n```python\nprint('draft')\n```\n</think>\n\n"
        f"Expression: $\\pi r^2$\nResult: 28.27\n```python\n{CIRCLE}\n```",
        rows=(CIRCLE_ROW,),
    ),
    Case(
        name="reasoning without an end",
        answer="<think>\nExpression: $x$\n```python\nprint(",
        finish_reason="length",
        rows=(Row(problem="truncated"),),
    ),
    Case(
        name="carriage returns and NUL",
        answer="**Expression:** $1+1$\r\n**Result:** 2\0\r\n**Code:**\r\n```python\r\na = 1\r\nprint(a + 1)\r\n```\r\n",
        rows=(Row(expression="1+1", result="2", code="a = 1\nprint(a + 1)"),),
    ),
    Case(
        name="octave",
        answer="**Expression:** $2^{10}$\n**Result:** $1024$\n**GNU Octave code:**\n```matlab\ndisp(2^10)\n```",
        language="octave",
        rows=(Row(expression="2^{10}", result="1024", code="disp(2^10)"),),
    ),
    Case(
        name="octave without a fence",
        answer="Expression: $2^{10}$\nResult: 1024\nCode:\nx = 2^10;\ndisp(x)",
        language="octave",
        rows=(Row(expression="2^{10}", result="1024", code="x = 2^10;\ndisp(x)"),),
    ),
    Case(
        name="python where octave was asked for",
        answer="**Expression:** $2^{10}$\n**Result:** $1024$\n**Code:**\n```python\nprint(2**10)\n```",
        language="octave",
        rows=(Row(expression="2^{10}", result="1024", code="print(2**10)", problem="wrong_language"),),
    ),
]

# How a model of 135 million parameters failed, in other words: the kinds of failure are its own.
SMALL_MODEL = [
    Case(
        name="function that returns the result whatever it is given",
        answer="""\
### Computation 2

**Conditions needed:** A variable is uniform on [0, 1].

**Computation expression:** $\\frac{1}{1000001} \\times 1.000001$

**Computation result:** $1.010001$

**Python code:**
```python
import math

def mean_of_1000001(n):
    return 1.010001

n = 1000001
print(mean_of_1000001(n))
```
""",
        finish_reason="length",
        rows=(
            Row(
                expression=r"\frac{1}{1000001} \times 1.000001",
                result="1.010001",
                code="import math\n\ndef mean_of_1000001(n):\n    return 1.010001\n\n"
                "n = 1000001\nprint(mean_of_1000001(n))",
                problem="constant_code",
            ),
        ),
    ),
    Case(
        name="one sentence for ever under a header",
        answer="### Computation 2\n\n" + "The inverse of 1 is 1.\n\n" * 30 + "The inv",
        finish_reason="length",
        rows=(Row(problem="truncated"),),
    ),
    Case(
        name="digits for ever",
        answer="### Computation 2\n\n**Conditions needed:** A cubic.\n\n**Computation expression:** $1" + "0" * 300,
        finish_reason="length",
        rows=(Row(expression="$1" + "0" * 300, problem="truncated"),),
    ),
    Case(
        name="the example of the prompt told again",
        answer="### Computation 2\n\nThe tank has a radius of 1.5 metres. The water it holds is $V = \\pi r^2 h$.",
        rows=(Row(expression="V", result=r"\pi r^2 h", problem="no_code"),),
    ),
    Case(
        name="headers over the same formula, no titles, no programs",
        answer="### Computation 2\n\n$$\\frac{8}{8}=1$$\n\n### Computation 3\n\n$$\\frac{8}{8}=1$$\n\n"
        "### Computation 4\n\n$$\\fr",
        finish_reason="length",
        rows=(
            Row(expression=r"\frac{8}{8}", result="1", problem="no_code"),
            Row(expression=r"\frac{8}{8}", result="1", problem="repeated"),
            Row(problem="truncated"),
        ),
    ),
    Case(
        name="the example of the prompt with another program",
        answer='{"computations":[{"code":"import math\\n\\nheight = 1.5'
        '\\nheight = 2\\nprint(math.pi * height**2 * height)",'
        '"conditions":"A cylinder has the radius $r = 1.5$ (metres) and is filled to the height $h = 2$ (metres).",'
        '"expression":"\\\\pi r^2 h","result":"14.14"}]}',
        rows=(
            Row(
                expression=r"\pi r^2 h",
                result="14.14",
                code="import math\n\nheight = 1.5\nheight = 2\nprint(math.pi * height**2 * height)",
                problem="prompt_example",
            ),
        ),
    ),
    Case(
        name="JSON with every token on a line of its own, one word in all fields",
        answer='{\n\n"computations"\n\n:\n\n[\n\n{\n\n'
        '"code"\n\n:\n\n"valores"\n\n,\n\n"conditions"\n\n:\n\n"valores"\n\n,\n\n'
        '"expression"\n\n:\n\n"valores"\n\n,\n\n"result"\n\n:\n\n"valores"\n\n}\n\n]\n\n}',
        rows=(Row(expression="valores", result="valores", code="valores"),),
    ),
    Case(
        name="a fact about a number under a header",
        answer="### Computation 1\n\nThe number 2188 has this property.",
        rows=(Row(problem="no_code"),),
    ),
]

CASES = [
    *((f"titles: {case.name}", case) for case in TITLES),
    *((f"untitled: {case.name}", case) for case in UNTITLED),
    *((f"fences: {case.name}", case) for case in FENCES),
    *((f"parts: {case.name}", case) for case in PARTS),
    *((f"values: {case.name}", case) for case in VALUES),
    *((f"json: {case.name}", case) for case in JSON),
    *((f"whole: {case.name}", case) for case in WHOLE),
    *((f"small model: {case.name}", case) for case in SMALL_MODEL),
]
