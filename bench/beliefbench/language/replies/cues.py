"""The words by which a reply picks an option, denies one, or commits to none, as patterns for plain words.

Each pattern takes bounded steps from each position, so that the time grows linearly with the text.
"""

from __future__ import annotations

import re

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")

VERDICT = r"(?:answer|choice|recommendation|pick|selection|decision|verdict|winner|suggestion|conclusion|guess|bet)"
"""What a reply calls its own pick: "my recommendation is", "final answer:"."""

PRAISE = (
    r"(?:best|ideal|optimal|perfect|most (?:suitable|appropriate|likely|preferable|favorable|attractive|appealing"
    r"|promising|sensible|fitting|aligned|compatible|reasonable|desirable))"
)
"""Only words that say "best of all in all": "the cheapest" and "the fastest" name no pick."""

PRAISE_OF_A_NOUN = r"(?:right|top|correct|preferred|recommended|chosen|strongest|closest|clear|winning|the better)"
"""Words that say it only with a noun: "the right choice"."""

FITS = (
    r"(?:(?:best|most closely) (?:fits?|match(?:es)?|suit(?:s|ed)?|aligns?|aligned|meets?)"
    r"|(?:fits?|match(?:es)?|suits?|aligns?|meets?|works?)(?: [^ ]+){0,6} (?:best|most closely)|aligns most"
    r"|(?:is|be) (?:[a-z]+ly )?(?:recommended|advised|selected|chosen|picked|booked|preferred|what i'd|what i would))"
)

POINTS = re.compile(
    r"\b(?:it|that|this)(?:'s| (?:is|would be|must be|should be|has to be))(?: (?:[a-z]+ly|the|number)){0,2}$"
)
""""So it must be flight 2"."""

SEARCH = re.compile(
    r"\b(?:find|determin\w+|identify|figure|decide|compar\w+|look\w*|analy\w+|evaluat\w+|help|factors)\b"
)
"""Words by which "the best option:" announces a comparison, no pick."""

COPULA = r"(?:is|be|are|remains?|seems?|looks?|sounds?|appears?|becomes?|goes|boxed|it's|that's|[:=→—\u2013-]+)"

VERB = (
    r"(?:recommend(?:ing)?|suggest(?:ing)?|advise|choos(?:e|ing)|pick(?:ing)?|select(?:ing)?|tak(?:e|ing)|prefer"
    r"|(?:book|buy)(?:ing)?|(?:go|going|stick|sticking) (?:with|for)|opt(?:ing)? for|vote (?:is )?for"
    r"|lean(?:ing)?(?: towards?)?|settle on|decide on|say|bet on|(?:go wrong|happiest) (?:with|at)|points? to|boxed"
    r"|leaves(?: (?:us|you|me))?(?: with)?"
    r"|(?P<modal>will|would|might|may|you'll|you'd)(?: [a-z]+ly)? (?:like|love|enjoy)"
    r"|recommended|suggested|chose|chosen|picked|selected|opted for|went (?:with|for)|decided on|settled on)"
)
PAST_VERB = re.compile(r"(?:ed|chose|chosen|went with|went for|ed for|ed on)$")
PAST_TIME = re.compile(r"\b(?:previous\w*|earlier|last|before|originally|initially|round|incorrect|wrong)\b")
"""With a verb in the past: what was said in other rounds, "I previously recommended flight 2"."""

NO_OBJECT = re.compile(
    r"\b(?:of|about|between|into|at|from|whether|that|you|because|since|as|when|check\w*|consider\w*|compar\w*|look\w*)\b"
)
"""Words after a verb that make the next name no object of it: "I would choose because flight 1 ..."."""

OTHERS = re.compile(
    r"\b(?:you|users?|they|he|she|customer|traveler|shopper)(?:'ve)?(?: [a-z]+ly| have| had| has| also| tend to){0,2}$"
)
"""Who chooses in "you chose flight 2"; "you should choose" does not end in it."""

INFINITIVE = re.compile(r"\bto$")
WILLING = re.compile(
    r"\b(?:want|like|forced|decid\w+|best|wise|suggest\w*|recommend\w*|have|going|inclin\w+|advis\w+|is|be) to$"
)
""""To choose the best flight, we compare" picks nothing; "I'd like to choose" does."""

DENIES = re.compile(
    r"\b(?:not|never|cannot|rarely|seldom|far from|fails? to|doubt\w*|neither|nor|unlikely|hardly|avoid\w*"
    r"|against|except|besides|exclud\w+|eliminat\w+|ruled? out|ruling out)\b|n't\b"
)
NO_DENIAL = re.compile(
    r"\b(?:not only|(?:no|without|without a|beyond) doubt|(?:can't|cannot|won't) go wrong|not sure but)\b"
)

COMPARED = re.compile(
    r"(?:\b(?:than|over|instead of|unlike|versus|vs|beats?|outperforms|ahead of|compared (?:to|with)|followed by"
    r"|aside from|similar to)|[>≻])(?: [a-z]+){0,2}$"
)
SECOND = re.compile(
    r"\b(?:second|next|third|another|alternative|alternatively|also|runner|backup|fallback|worst|least)\b"
)
""""The second best option is", "another good choice is"."""

UNCOMMITTED = re.compile(
    r"\b(?:(?<!even )if|unless|whether|otherwise|depend\w*|suppose|imagine|let's say|in case|hard|difficult|tough"
    r"|unclear|uncertain|impossible|at first|initially|for (?:those|people|anyone|someone|travelers))\b"
)
COMMITTED = re.compile(
    r"\bif i (?:had|have|must|were|was|am|need)(?: forced| asked)?(?: to)?(?: [a-z]+){0,4}"
    r"|\b(?:hard|difficult|tough|impossible) to (?:beat|say no)\b"
)
""""If I had to pick one, flight 2": words of UNCOMMITTED that leave the pick as it is."""

ONE_RESPECT = re.compile(
    r"\b(?:in terms of|when it comes to|as far as|with (?:respect|regard) to|regarding|purely on"
    r"|(?:for|on)(?: the| its)?(?: [a-z]+est)?"
    r" (?:price|cost|budget|duration|speed|time|travel time|comfort|convenience))\b"
    r"(?! (?:your|the user's|my|all|overall|both|everything|these))|\b[a-z]+ - wise\b"
)
""""Flight 1 is the best option in terms of price": the best in one respect alone."""

MISTAKE = re.compile(r"\b(?:apologi[sz]e|sorry for|mistakes?|errors?|mistakenly|wrongly|incorrectly)\b")
""""I apologize for recommending flight 1": a verb after these words picks nothing."""

UNFINISHED = re.compile(r"\b(?:but|however|although|though|while|whereas|unless|if)(?: ,)?$")
RANKING = re.compile(r"\b(?:ranking|ranked?|best to worst|(?:most|order of) prefer\w+)\b(?!.*\bworst to best)")

AFTERTHOUGHT = re.compile(r"\b(?:let me know|feel free|please tell me)\b")
""""Flight 1, but let me know if you would prefer flight 2": what follows is no part of the answer."""

TAKEN_BACK = re.compile(
    r"(?:^|[,:—\u2013-] )(?:(?:but|oh|hmm+|ah|well|so|and|okay) (?:, )?){0,3}(?:"
    r"(?P<always>(?:no|wait|scratch that|hold on|oops|i was wrong|let me reconsider|correction|make that|i mean"
    r"|or rather)(?= [,:—\u2013-]| no| wait| actually| @|$))"
    r"|(?P<named>(?:actually|sorry|on second thought|on reflection)(?= |$)))"
)
"""Takes back the picks before it; those of the second kind only in a sentence that names an option."""

LEAD = re.compile(
    r"(?:[^a-z]|\b(?:so|thus|therefore|hence|yes|sure|okay|ok|well|then|final|answer|i|i'd|think|guess|believe|probably"
    r"|definitely|it's|that's|it|that|would|must|should|be|is|the|no|wait|actually|sorry|mean|make|rather|or|correction)\b)*"
)
"""Words before a name that leave it alone in its sentence: "so, flight 2", "no, flight 3"."""

ALONE = re.compile(
    r"(?: [^\w\s:=/,(-]+){0,3}(?:$| [,(—\u2013-]| (?:because|since|as|for|due|please|then|instead|though|text)\b)"
)
WINS = re.compile(
    r" (?:it is(?:$| [,—\u2013-])|is it$|(?:ranks? )?first$|[>≻]"
    r"|(?:wins?|beats|gets my vote|stands out|comes out (?:on top|ahead))\b)"
)
GOOD = re.compile(
    r"\b(?:good|great|solid|excellent|strong|reasonable|nice|suitable|safe|better"
    r"|best (?:balance|combination|mix|compromise|value)|fits|matches|aligns|suits|meets)\b"
)
MAYBE = re.compile(r"\b(?:might|may|could|perhaps|maybe|possibly)\b")
LACKS = re.compile(
    r"\b(?:too|worst|worse|avoid\w*|expensive|bad|poor|drawback|unfortunately|liked?|said|chose|chosen)\b"
)
FEEDBACK = re.compile(r"\byour option .{0,60} is (?:in)?correct\b")
"""The user's words after a round (words.feedback), repeated."""

BOUNDARY = re.compile(r"[,:()—\u2013]| - |\b(?:but|so|however|and|therefore)\b")
