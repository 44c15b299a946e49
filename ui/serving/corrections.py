"""Scripts of Gradio's front end that are served with corrections, in the place of its own.

- Its sign of progress counts the seconds at every frame, and goes on with it for good where it leaves the page before
  its event has ended, so that a page at rest keeps a processor busy.
- An event that is cancelled before the queue has given it a number is not cancelled: the request names none, and the
  server refuses it.
- A cancelled event forgets a newer one with itself, and leaves one that waits for its end waiting where the server does
  not tell of it.
- For every input and output of every event it looks for a part of the page from the root, and for every part for its
  events among those of all parts: what a page does grows with the square of its size.

A script that is written in another way, as in another version of Gradio, is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ui.serving.front_end import FOLDER

_STATUS = re.compile(r"(\w+)\.status===`pending`\?\w+\(\):")
_TIMER = re.compile(r"(function (\w+)\(\)\{\w+\(\(\)=>\{[^{}]*performance\.now\(\)[^{}]*,\w+)&&\2\(\)")

_CANCEL = re.compile(r"(async function \w+\(\)\{)(let (\w+)=\{\},\w+=\{\};\3=\{event_id:(\w+)\})")
_JOINED = re.compile(r"let (\w+)=this\.handle_blob\(")

_FORGOTTEN = re.compile(
    r"(await (\w+)\.cancel\(\).{0,300}?let (\w+)=this\.submission_trigger_ids\.get\((\w+)\).{0,40}?;"
    r"this\.clear_submission\(\4)\);")

_LOOKED_FOR = re.compile(
    r"function (\w+)\((\w+),(\w+)\)\{if\(\2\.id===\3\)return \2;if\(\2\.children\)for\(let (\w+) of \2\.children\)"
    r"\{let \w+=\1\(\4,\3\);if\(\w+\)return \w+\}return null\}")
_ATTACHED = re.compile(
    r"(find_attached_events\((\w+),(\w+)\)\{)let (\w+)="
    r"\3\.filter\((\w+)=>\5\.targets\.find\(\(\[\5\]\)=>\5===\2\.id\)\)\.map\(.{0,90}?\)\.filter\(Boolean\);"
    r"(return \2\.props\.shared_props\.attached_events)=\4,\2\}")


def routes() -> list[Route]:
    """One per corrected script, at the address of Gradio's own."""
    served = []
    for name, correct in CORRECTIONS.items():
        for script in (FOLDER / "assets").glob(f"{name}-*.js"):
            if corrected := correct(script.read_text("utf-8")):
                served.append(Route(f"/assets/{script.name}", partial(_answer, corrected)))
    return served


def _answer(text: str, request: Request) -> Response:
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})


def without_endless_timer(text: str) -> str:
    """Corrects the progress display: its timer stops when its event ends."""
    status, timers = _STATUS.search(text), len(_TIMER.findall(text))
    return _TIMER.sub(rf"\1&&{status[1]}.status===`pending`&&\2()", text) if status and timers == 1 else ""


def cancelled_with_a_number(text: str) -> str:
    """Corrects the client: an event can be cancelled before the queue has answered."""
    cancel, joined = _CANCEL.findall(text), _JOINED.findall(text)
    if len(cancel) != 1 or len(joined) != 1:
        return ""
    return _CANCEL.sub(rf"\1await {joined[0]}.catch(()=>{{}});if(!\4)return;\2", text)


def cancelled_alone(text: str) -> str:
    """Corrects the list of running events: a cancelled event removes only itself, and the next one starts."""
    next_one = (r"this.queue.has(\4)&&(this.queue.delete(\4),"
                r"this.dispatch({type:`fn`,fn_index:\4,event_data:null,target_id:\3}));")
    return _FORGOTTEN.sub(rf"\1,\2);{next_one}", text) if len(_FORGOTTEN.findall(text)) == 1 else ""


def number_lookup(text: str) -> str:
    """Corrects the component tree: parts and events are found by number, not by a search.

    A tree is walked once. Its parts change by `gr.render` alone, which our page does without.
    """
    if len(_LOOKED_FOR.findall(text)) != 1 or len(_ATTACHED.findall(text)) != 1:
        return ""
    text = _LOOKED_FOR.sub(
        r"var \1_=new WeakMap;function \1(\2,\3){let all=\1_.get(\2);if(!all){\1_.set(\2,all=new Map);"
        r"let walk=\4=>{all.has(\4.id)||all.set(\4.id,\4);if(\4.children)for(let part of \4.children)walk(part)};"
        r"walk(\2)}return all.get(\3)??null}", text)
    return _ATTACHED.sub(
        r"\1let all=(this.attached||=new WeakMap).get(\3);if(!all){this.attached.set(\3,all=new Map);"
        r"for(let {targets} of \3){let first=new Map;for(let [id,event] of targets)first.has(id)||first.set(id,event);"
        r"for(let [id,event] of first)event&&all.set(id,[...all.get(id)??[],event])}}"
        r"\6=all.get(\2.id)??[],\2}", text)


CORRECTIONS: dict[str, Callable[[str], str]] = {
    "statustracker": without_endless_timer, "index": cancelled_with_a_number, "Blocks": cancelled_alone,
    "core": number_lookup,
}
"""The first part of a script's name -> what corrects it, "" where it is written in another way."""
