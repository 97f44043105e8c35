"""Writes one page with every message of every receiver, to be looked at: ``benchmarks/alerts/gallery.py [FILE]``.

The e-mail is shown as it is, in a sandboxed frame. Slack, Discord and Teams are approximated from exactly what is sent
to them: good enough to judge order, length and emphasis, not pixels.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftwatch.alert.message import Message, compose, compose_digest, present
from driftwatch.alert.policy import SEVERITIES
from driftwatch.alert.receivers import discord, pagerduty, slack_blocks, teams
from driftwatch.alert.receivers.console import render_text
from driftwatch.alert.receivers.email_html import render_html
from driftwatch.domain import WATCH, Announcement, Event, Incident, IncidentState, Kind, Transition

OPENED = datetime(2026, 3, 16, 14, 0, tzinfo=UTC)
BEHAVIOUR = {
    "kind_of_change": [
        {"kind": "longer", "text": "Replies got 2.1 times as long", "why": "median 31 → 66 words"},
        {"kind": "JSON broken", "text": "JSON replies are broken (98 % → 61 % parse)", "why": "98 % → 61 %"},
    ],
    "changes": [
        "replies that parse as JSON: 98 % → 61 % (−37 points [−45, −29])",
        "replies are 113 % longer [94, 131] (median 31 → 66 words)",
    ],
    "affected": {"n": 12, "of": 14, "names": ["support/refund"]},
    "onset_at": "2026-03-16T09:00:00+00:00",
    "alarm_at": "2026-03-16T14:00:00+00:00",
    "runs_since_onset": 6,
    "evidence": 41_327.2,
    "threshold": 17_532.0,
    "alarm_budget": "at most one false alarm per year",
    "channels": [
        {
            "name": "wording",
            "share": 0.62,
            "calibration_mean": 0.21,
            "since_onset_mean": 0.48,
            "calibration_high": 0.26,
        },
        {"name": "checks", "share": 0.3, "calibration_mean": 0.01, "since_onset_mean": 0.33, "calibration_high": 0.04},
    ],
    "canaries": [
        {"id": "support/refund", "channel": "wording", "before_mean": 0.2, "after_mean": 0.61, "is_affected": True},
        {"id": "support/tone", "channel": "wording", "before_mean": 0.2, "after_mean": 0.42, "is_affected": True},
    ],
    "pair": {
        "canary_id": "support/refund",
        "prompt": "A customer asks for a refund after 40 days. Reply as JSON with the keys decision and reason.",
        "before": '{"decision": "refuse", "reason": "The 30-day window has passed."}',
        "after": (
            'Sure! Here is the JSON:\n```json\n{"decision": "refuse", "reason": "Unfortunately the window of 30 days '
            'has already passed."}\n```\nLet me know if I can help! 😊 <!channel> [log in](https://evil.test) '
            "<script>alert(1)</script>"
        ),
        "before_completion_id": 4711,
        "after_completion_id": 8210,
    },
    "owner": "team-support",
    "baseline": {"id": 3, "author": "ana", "at": "2026-03-02T10:00:00+00:00"},
    "model": "gpt-4o",
    "provider": "openai",
}
AVAILABILITY = {
    "headline": "support-bot cannot be measured since Mon 16 Mar 09:00 UTC",
    "outcomes": {"timeout": 30, "rate_limited": 12},
    "last_error": "the endpoint did not answer within 60 s",
    "failing_since": "2026-03-16T09:00:00+00:00",
    "model": "gpt-4o",
    "provider": "openai",
}
ITSELF = {
    "headline": "driftwatch cannot write: the disk of /var/lib/driftwatch is full, since Mon 16 Mar 09:00 UTC",
    "changes": ["12 MB are left of 20 GB."],
    "steps": [{"command": "df -h /var/lib/driftwatch", "meaning": "shows what is left"}],
}


def incident(number: int = 12, target: str = "support-bot", kind: Kind = Kind.BEHAVIOUR, **more: Any) -> Incident:
    """One that is open; keywords override."""
    evidence = {Kind.BEHAVIOUR: BEHAVIOUR, Kind.AVAILABILITY: AVAILABILITY, Kind.WATCH_ITSELF: ITSELF}[kind]
    given: dict[str, Any] = {
        "id": number,
        "target": target,
        "kind": kind,
        "state": IncidentState.OPEN,
        "opened_at": OPENED,
        "onset_at": OPENED - timedelta(hours=5),
        "baseline_id": 3,
        "run_id": 900,
        "evidence": evidence,
        "severity": SEVERITIES[kind],
    }
    return Incident(**given | more)


def edge(event: Event, *members: Incident, author: str = "driftwatch", reason: str = "") -> Announcement:
    """What is told of an event of the first of the members."""
    after = {Event.ACKNOWLEDGED: IncidentState.ACKNOWLEDGED, Event.RESOLVED: IncidentState.RESOLVED}
    at = OPENED if event is Event.OPENED else OPENED + timedelta(hours=5, minutes=10)
    told = Transition(
        id=30,
        incident_id=members[0].id,
        before=None if event is Event.OPENED else IncidentState.OPEN,
        after=after.get(event, IncidentState.OPEN),
        at=at,
        author=author,
        reason=reason,
        event=event,
    )
    lead_first = tuple(sorted(members, key=lambda member: member.id))
    return Announcement(
        incident=members[0],
        transition=told,
        dedup_key=f"{told.id}:oncall",
        owner="team-support",
        history=(told,),
        group=lead_first,
        key="f3a1/12",
    )


def cases() -> dict[str, Announcement]:
    """Heading → what is told."""
    six = [incident(12 + n, f"target-{n}", part_of=None if n == 0 else 12) for n in range(6)]
    over = {"state": IncidentState.RESOLVED, "resolved_at": OPENED + timedelta(hours=5)}
    return {
        "Opened: behaviour, one target": edge(Event.OPENED, incident()),
        "Opened: six targets at once": edge(Event.OPENED, *six),
        "Joined: more targets": edge(Event.JOINED, six[3], *six[:3], *six[4:]),
        "Opened: cannot measure": edge(Event.OPENED, incident(kind=Kind.AVAILABILITY)),
        "Opened: the watch itself": edge(
            Event.OPENED, incident(target=WATCH, kind=Kind.WATCH_ITSELF, trouble="disk", baseline_id=None, run_id=None)
        ),
        "Escalated": edge(Event.ESCALATED, incident(), reason="nobody has acknowledged it for 30 min"),
        "Acknowledged": edge(Event.ACKNOWLEDGED, incident(acknowledged_at=OPENED), author="ana", reason="on it"),
        "Reminded": edge(Event.REMINDED, incident()),
        "Reopened": edge(Event.REOPENED, incident(n_reopened=1)),
        "Resolved: one of six": edge(
            Event.RESOLVED, replace(six[1], **over), six[0], *six[2:], reason="behaviour is back within calibration"
        ),
        "Resolved": edge(Event.RESOLVED, incident(**over), reason="behaviour is back within calibration"),
    }


# ---------------------------------------------------------------- what each shows


def slack(message: Message) -> str:
    """Block Kit, roughly as Slack draws it."""
    return f'<div class="slack">{"".join(map(_slack_block, slack_blocks.blocks(message)))}</div>'


def _slack_block(block: Mapping[str, Any]) -> str:
    kind = block["type"]
    if kind == "header":
        return f"<h3>{escape(block['text']['text'])}</h3>"
    if kind == "context":
        return f'<p class="dim">{escape(" ".join(part.get("text", "") for part in block["elements"]))}</p>'
    if kind == "rich_text":
        return "".join(map(_slack_rich, block["elements"]))
    if kind == "section":
        fields = "".join(f"<div>{escape(field['text'])}</div>" for field in block.get("fields", ()))
        return f'<p>{escape(block.get("text", {}).get("text", ""))}</p><div class="two">{fields}</div>'
    return "<hr>" if kind == "divider" else f"<p>[{escape(kind)}]</p>"


def _slack_rich(element: Mapping[str, Any]) -> str:
    kind, inner = element["type"], element.get("elements", ())
    if kind == "rich_text_list":
        return "<ul>" + "".join(f"<li>{_slack_rich(entry)}</li>" for entry in inner) + "</ul>"
    if kind in {"rich_text_section", "rich_text_quote", "rich_text_preformatted"}:
        tag = {"rich_text_section": "div", "rich_text_quote": "blockquote", "rich_text_preformatted": "pre"}[kind]
        return f"<{tag}>{''.join(map(_slack_rich, inner))}</{tag}>"
    style, text = element.get("style", {}), escape(element.get("text", "")).replace("\n", "<br>")
    text = f"<code>{text}</code>" if style.get("code") else text
    return f"<b>{text}</b>" if style.get("bold") else text


def discord_embed(message: Message) -> str:
    """An embed, with the little Markdown that driftwatch writes."""
    (embed,) = discord.body(message)["embeds"]
    fields = "".join(
        f"<div><b>{_markdown(field['name'])}</b><br>{_markdown(field['value'])}</div>" for field in embed["fields"]
    )
    return (
        f'<div class="discord" style="border-left-color:#{embed["color"]:06x}"><h3>{_markdown(embed["title"])}</h3>'
        f'<div>{_markdown(embed["description"])}</div><div class="three">{fields}</div>'
        f'<p class="dim">{escape(embed["footer"]["text"])}</p></div>'
    )


def _markdown(text: str) -> str:
    pieces = re.split(r"```\n(.*?)\n```", text, flags=re.DOTALL)
    shown = []
    for n, piece in enumerate(pieces):
        if n % 2:
            shown.append(f"<pre>{escape(piece)}</pre>")
            continue
        marked = re.sub(r"(?<!\\)\*\*(.+?)(?<!\\)\*\*", r"<b>\1</b>", escape(piece))
        marked = re.sub(r"(?m)^- ", "• ", re.sub(r"(?<!\\)`([^`]+)`", r"<code>\1</code>", marked))
        shown.append(re.sub(r"\\([^0-9A-Za-z\s])", r"\1", marked).strip("\n").replace("\n", "<br>"))
    return "".join(shown)


def teams_card(message: Message) -> str:
    """An Adaptive Card, roughly as Teams draws it."""
    (attachment,) = teams.body(message)["attachments"]
    return f'<div class="teams">{"".join(map(_card, attachment["content"]["body"]))}</div>'


def _card(element: Mapping[str, Any]) -> str:
    kind = element["type"]
    if kind == "Container":
        return f'<div class="c {element.get("style", "")}">{"".join(map(_card, element["items"]))}</div>'
    if kind == "ColumnSet":
        columns = "".join(
            f'<div style="{"flex:1" if c["width"] == "stretch" else "width:" + c["width"]}">'
            f"{''.join(map(_card, c['items']))}</div>"
            for c in element["columns"]
        )
        return f'<div class="row">{columns}</div>'
    runs = "".join(map(_run, element["inlines"]))
    return f"<div>{runs}</div>"


def _run(run: Mapping[str, Any]) -> str:
    size = {"Large": "18px", "Small": "12px"}.get(run.get("size", ""), "inherit")
    style = f"font-size:{size}" + (";font-weight:600" if run.get("weight") == "Bolder" else "")
    style += ";color:#616161" if run.get("isSubtle") else ""
    style += ";font-family:monospace" if run.get("fontType") == "Monospace" else ""
    return f'<span style="{style}">{escape(run["text"])}</span>'


def email(message: Message) -> str:
    """Exactly what is sent, in a frame that may do nothing."""
    return f'<iframe sandbox srcdoc="{escape(render_html(message))}"></iframe>'


def console(message: Message) -> str:
    """A terminal."""
    return f"<pre>{escape(render_text(message, width=72))}</pre>"


SHOWN: Mapping[str, Callable[[Message], str]] = {
    "Slack": slack,
    "Teams": teams_card,
    "Discord": discord_embed,
    "E-mail": email,
    "Console": console,
}

TRIGGERS = (Event.OPENED, Event.JOINED, Event.ESCALATED, Event.REOPENED)
"""What is sent to PagerDuty with a message; the other events are an action and a key."""

STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:24px;background:#eceff3;color:#1a1f29}
h2{margin:32px 0 8px}h4{margin:0 0 6px;color:#5b6676;font-weight:600}
.case{display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start}
.card{background:#fff;border-radius:8px;padding:14px;width:600px;box-sizing:border-box;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:#f4f5f7;padding:8px;margin:4px 0;font-size:12px}
.dim{color:#697386;font-size:12px}.slack h3,.discord h3{margin:0 0 6px;font-size:17px}ul{margin:2px 0;padding-left:20px}
.discord{background:#2b2d31;color:#dbdee1;border-left:4px solid;padding:10px 14px;border-radius:4px}
.discord pre,.discord code{background:#1e1f22}
.three{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin-top:8px}
.two{display:grid;grid-template-columns:1fr 1fr;gap:6px}.teams .c{margin:8px 0}.row{display:flex;gap:8px}
.c.attention,.c.warning,.c.accent,.c.good,.c.emphasis{padding:8px 12px;margin:8px -14px}
.c.attention{background:#fbe4e4}.c.warning{background:#fff3d6}.c.accent{background:#e3ecfb}.c.good{background:#e2f4e5}
.c.emphasis{background:#f3f4f6;margin:6px 0}iframe{border:1px solid #d8dce2;width:100%;height:760px}
"""


def page(told: Mapping[str, tuple[Message, Announcement | None]]) -> str:
    """The whole page."""
    parts = []
    for heading, (message, announcement) in told.items():
        cards = [f'<div class="card"><h4>{name}</h4>{show(message)}</div>' for name, show in SHOWN.items()]
        if announcement is not None and announcement.transition.event in TRIGGERS:
            payload = json.dumps(pagerduty.payload(announcement), indent=1, ensure_ascii=False)
            cards.append(f'<div class="card"><h4>PagerDuty</h4><pre>{escape(payload)}</pre></div>')
        parts.append(f'<h2>{escape(heading)}</h2><div class="case">{"".join(cards)}</div>')
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Alerts</title><style>{STYLE}</style>'
        f"<body>{''.join(parts)}</body></html>"
    )


def escape(text: str) -> str:
    """Everything here is shown, nothing obeyed."""
    return html.escape(text, quote=True)


def main(arguments: Sequence[str]) -> None:
    """Write the page."""
    found = cases()
    told: dict[str, tuple[Message, Announcement | None]] = {
        heading: (compose(announcement), announcement) for heading, announcement in found.items()
    }
    told["The first message, kept up to date: acknowledged"] = (present(found["Acknowledged"]), None)
    told["The first message, kept up to date: over"] = (present(found["Resolved"]), None)
    still = edge(Event.REMINDED, incident(9, "translator", Kind.AVAILABILITY))
    over = edge(Event.RESOLVED, incident(8, "search", state=IncidentState.RESOLVED), reason="back within calibration")
    digest = [found["Opened: six targets at once"], replace(still, dedup_key="41:oncall"), over]
    told["Digest"] = (compose_digest(digest), None)
    file = Path(arguments[0] if arguments else "gallery.html")
    file.write_text(page(told), encoding="utf-8")
    print(f"{len(told)} messages for {len(SHOWN)} receivers: {file}")


if __name__ == "__main__":
    main(sys.argv[1:])
