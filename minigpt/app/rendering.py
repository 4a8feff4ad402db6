"""What a model wrote, as HTML in which nothing of the text is markup."""

import html
from collections.abc import Sequence

BOX = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace;line-height:1.5;margin:.2em 0 1.2em"


CAPTION = "font-size:.9em;opacity:.8;margin:0"


CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}  # ␀ to ␟, and ␡


def render_samples(prompt: str, texts: Sequence[str], seeds: Sequence[int]) -> str:
    """Return samples one below the other: the prompt muted, what was written after it not.

    Characters that cannot be seen, such as the null, are shown by their pictures.
    """
    return "".join(
        _render_sample(prompt, text, f"Sample {number}, seed {seed}" if len(seeds) > 1 else "")
        for number, (text, seed) in enumerate(zip(texts, seeds, strict=False), 1)
    )


def _render_sample(prompt: str, text: str, caption: str = "") -> str:
    """Return one sample, with a caption if there is one."""
    heading = f'<p style="{CAPTION}">{html.escape(caption)}</p>' if caption else ""
    return (
        f'{heading}<div class="sample" style="{BOX}">'
        f'<span class="prompt" style="opacity:.7">{as_text(prompt)}</span>{as_text(text)}</div>'
    )


def as_text(text: str) -> str:
    """Return a text so that a browser shows every character of it."""
    return html.escape(text).translate(CONTROLS)


def render_status(sentence: str) -> str:
    """Return a sentence about what goes on, which is read out when it changes."""
    return f'<p role="status" style="{CAPTION}">{html.escape(sentence)}</p>'
