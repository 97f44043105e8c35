"""A message as the HTML part of an e-mail: one column, styles inline, nothing loaded from anywhere.

Mail programs know tables and inline styles and little else. Every text is escaped; replies stand in boxes of their own.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from driftwatch.alert.message import Message, Tone
from driftwatch.alert.text import line, quote

_PROMPT, _REPLY = 400, 1_500
"""Characters quoted; ``driftwatch report`` has the whole."""
_COLOURS = {Tone.ALARM: "#b3261e", Tone.WARNING: "#b26a00", Tone.NOTICE: "#4a5568", Tone.GOOD: "#1b7a3d"}
_SANS = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MONO = "font-family:ui-monospace,SFMono-Regular,Consolas,'Liberation Mono',monospace"
_BOX = (
    f"{_MONO};font-size:13px;line-height:1.45;background:#f4f5f7;border-left:3px solid #c3c9d2;padding:8px 12px;"
    "margin:2px 0 10px;white-space:pre-wrap;word-break:break-word"
)


def render_html(message: Message) -> str:
    """The whole document."""
    colour = _COLOURS[message.tone]
    first, *rest = message.summary
    head = (
        f'<div style="border-left:6px solid {colour};padding:2px 0 2px 14px;margin:0 0 16px">'
        f'<h1 style="font-size:20px;line-height:1.3;margin:0 0 6px;color:{colour}">{_escaped(message.title)}</h1>'
        f'<p style="font-size:15px;margin:0">{_escaped(first)}</p></div>'
    )
    parts = [head, *(f'<p style="margin:0 0 8px">{_escaped(sentence)}</p>' for sentence in rest)]
    if message.steps:
        steps = "".join(
            f'<p style="margin:0 0 6px"><code style="{_MONO};font-size:13px;background:#f4f5f7;padding:2px 5px">'
            f'{_escaped(step.command)}</code> <span style="color:#4a5568">{_escaped(step.meaning)}</span></p>'
            for step in message.steps
        )
        parts.append(_heading("Next") + steps)
    if message.changes:
        parts.append(_heading("What changed") + _listed(message.changes))
    if message.pair:
        pair = message.pair
        quoted = (
            ("Asked", pair.prompt, None, _PROMPT),
            ("Before", pair.before, pair.before_completion_id, _REPLY),
            ("Since", pair.after, pair.after_completion_id, _REPLY),
        )
        parts.append(_heading(f"Before and since: {line(pair.canary_id, 100)}"))
        parts += [_quotation(label, text, id_, limit) for label, text, id_, limit in quoted]
    parts += [_heading(section.title) + _listed(section.lines) for section in message.sections]
    if message.fields:
        rows = "".join(
            f'<tr><td style="padding:2px 16px 2px 0;color:#4a5568;white-space:nowrap;vertical-align:top">'
            f'{_escaped(label)}</td><td style="padding:2px 0">{_escaped(value)}</td></tr>'
            for label, value in message.fields
        )
        parts.append(f'<table role="presentation" style="margin:16px 0 0;border-collapse:collapse">{rows}</table>')
    parts.append(
        f'<p style="margin:20px 0 0;padding-top:8px;border-top:1px solid #d8dce2;font-size:12px;color:#697386">'
        f"{_escaped(message.footer)}</p>"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_escaped(message.title)}</title></head>\n"
        f'<body style="margin:0;padding:20px;background:#ffffff;color:#1a1f29;{_SANS};font-size:14px;line-height:1.5">'
        f'<div style="max-width:680px">{"".join(parts)}</div></body></html>\n'
    )


def _quotation(label: str, text: str, completion_id: int | None, limit: int) -> str:
    reference = f" (completion {completion_id})" if completion_id is not None else ""
    shown = _escaped(quote(text, limit)) or "(nothing)"
    return f'<div style="color:#4a5568;font-size:13px">{label}{reference}</div><div style="{_BOX}">{shown}</div>'


def _heading(text: str) -> str:
    return f'<h2 style="font-size:14px;margin:18px 0 6px">{_escaped(text)}</h2>'


def _listed(lines: Iterable[str]) -> str:
    items = "".join(f'<li style="margin:0 0 4px">{_escaped(text)}</li>' for text in lines)
    return f'<ul style="margin:0;padding-left:20px">{items}</ul>'


def _escaped(text: str) -> str:
    """Text in which a mail program reads no markup."""
    return html.escape(text, quote=True)
