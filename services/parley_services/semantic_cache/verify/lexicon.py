"""English words by the part they play when two questions are compared."""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(pair.split("/")) for pair in text.split())


FUNCTION_WORDS: Final = _words(
    """a an the this that these those my your our their his her its some i you he she it we
    they me him us them do does did done doing is are was were be been being am have has had
    having will would shall should can could may might must to of in on at by for from with
    about into as and or but if so than then there here what which who whom whose when where
    why how please just also too very really actually one ones kindly hi hello hey thanks
    thank get got s m re ve d ll t any"""
)
"""Words that carry grammar rather than a topic. Negations are not among them."""

POLITE_WORDS: Final = _words(
    """please kindly hi hello hey thanks thank just actually really tell explain give show
    help let know want need wondering wonder like"""
)
"""Words that may come and go without changing what is asked."""

NEGATIONS: Final = _words(
    "not no never none nobody nothing nowhere neither nor cannot without except unless hardly "
    # Other languages, whose questions come too.
    "nicht kein keine keinen nie niemals ohne pas jamais sans nunca jamás sin não nem sem mai "
    "senza niet geen nooit inte aldrig ikke ikkje nie не нет без"
)

NEGATIVE_PREFIXES: Final = ("un", "non", "dis", "in", "im", "il", "ir", "de", "anti", "mis")

SCOPE_WORDS: Final = _words(
    """all every each only first last next previous same other another both either most least
    more less fewer many few half whole entire main new old current former original
    sometimes often rarely worst top bottom max min maximum minimum average total
    free paid private public personal business internal external daily weekly monthly yearly
    annual online offline short long brief detailed"""
)
"""Words that narrow or widen what is asked."""

DIRECTIONS: Final = _words(
    "to from into onto than over under before after against by above below via"
)
"""Words whose two sides do not trade places without a change of meaning."""

SYMMETRIC: Final = _words("and or versus vs & /")
"""Words whose two sides may trade places: `TCP and UDP`."""

QUESTION_WORDS: Final = _words("who whom whose when where why how what which")

EXTENTS: Final = _words("many much long often far old big large tall fast soon high deep late")
"""Words that make a question of its own after `how`."""

QUESTION_CLASSES: Final[dict[str, str]] = {
    "who": "person",
    "whom": "person",
    "whose": "person",
    "when": "time",
    "where": "place",
    "why": "reason",
}
"""Question words of which each asks for another kind of answer. What, which and how do not."""

_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)

NUMBER_WORDS: Final[dict[str, str]] = {
    word: str(number)
    for number, word in enumerate(_TO_TWENTY.split())
    # "one" is as often a pronoun ("this one", "how does one").
    if word != "one"
} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "hundred": "100",
    "thousand": "1000",
    "million": "1000000",
    "billion": "1000000000",
    "dozen": "12",
    "once": "1",
    "twice": "2",
    "second": "2nd",
    "third": "3rd",
    "fourth": "4th",
    "fifth": "5th",
}

CLASSES: Final[tuple[frozenset[str], ...]] = (
    _words("monday tuesday wednesday thursday friday saturday sunday weekday weekend"),
    _words(
        """january february march april may june july august september october november
        december jan feb mar apr jun jul aug sep sept oct nov dec"""
    ),
    _words("spring summer autumn fall winter"),
    _words("today tomorrow yesterday tonight"),
    _words("morning noon afternoon evening night midnight"),
    _words("second seconds minute minutes hour hours day days week weeks month months year years"),
    _words(
        """km kilometer kilometers kilometre kilometres mile miles meter meters metre metres cm mm
        inch inches foot feet yard yards"""
    ),
    _words("kg kilogram kilograms gram grams pound pounds lb lbs ounce ounces ton tons stone"),
    _words("celsius fahrenheit kelvin"),
    _words("kb mb gb tb kilobyte megabyte gigabyte terabyte bits bytes"),
    _words(
        """dollar dollars usd euro euros eur pound pounds gbp yen jpy rupee rupees inr franc chf
        yuan cny cad aud bitcoin"""
    ),
    _words(
        """english french german spanish italian portuguese russian chinese mandarin japanese
        korean arabic hindi dutch greek latin turkish polish swedish"""
    ),
    _words(
        """python java javascript typescript rust golang go ruby php perl kotlin swift scala c c++
        c# haskell lua r sql bash html css"""
    ),
    _words("red green blue yellow black white orange purple pink brown grey gray"),
    _words(
        """man woman men women boy girl boys girls male female husband wife father mother son
        daughter brother sister uncle aunt king queen"""
    ),
    _words("north south east west northern southern eastern western"),
    _words("cat cats dog dogs horse horses bird birds fish cow cows rabbit rabbits"),
    _words("windows mac macos linux ubuntu android ios iphone ipad"),
    _words("chrome firefox safari edge opera"),
    _words("email mail sms phone chat fax letter"),
    _words("credit debit prepaid gift"),
)
"""Closed classes: another member of the same class is another question."""

ANTONYMS: Final = _pairs(
    """above/below accept/decline accept/refuse accept/reject activate/deactivate add/remove
    add/subtract add/delete advantage/disadvantage advantages/disadvantages pro/con pros/cons
    after/before allow/block allow/deny allow/forbid allow/prevent always/never arrive/depart
    arrival/departure attach/detach before/after begin/end begin/finish benefits/risks
    benefits/drawbacks best/worst better/worse big/small block/unblock bottom/top buy/sell
    buying/selling bought/sold cause/cure causes/effects cause/prevent cheap/expensive
    cheapest/costliest clean/dirty clockwise/counterclockwise close/open closed/open
    closing/opening cold/hot cold/warm combine/split compress/decompress connect/disconnect
    correct/incorrect correct/wrong create/delete create/destroy credit/debit day/night
    dead/alive decode/encode decrease/increase decreasing/increasing decrypt/encrypt
    deep/shallow delete/restore deposit/withdraw difference/similarity differences/similarities
    difficult/easy different/same disable/enable disabled/enabled disabling/enabling
    discharge/charge download/upload downloading/uploading downgrade/upgrade dry/wet
    earlier/later early/late easiest/hardest easy/hard empty/full enter/exit enter/leave
    even/odd expand/collapse export/import exporting/importing exterior/interior
    external/internal fail/pass fail/succeed failure/success false/true fast/slow faster/slower
    fastest/slowest fat/thin find/lose first/last fix/break follow/unfollow forward/backward
    forwards/backwards free/paid freeze/unfreeze freeze/thaw freeze/melt front/back gain/lose
    gaining/losing give/take good/bad grow/shrink guilty/innocent hard/soft harmful/beneficial
    healthy/unhealthy heaven/hell heavy/light hide/show hidden/visible high/low higher/lower
    highest/lowest hire/fire horizontal/vertical include/exclude including/excluding
    indoor/outdoor indoors/outdoors inside/outside install/uninstall installing/uninstalling
    join/leave kill/save land/takeoff largest/smallest larger/smaller latest/earliest
    latest/oldest leave/stay left/right legal/illegal lend/borrow less/more like/dislike
    lock/unlock locked/unlocked login/logout long/short longest/shortest longer/shorter lose/win
    losing/winning loss/gain loss/profit lost/found love/hate lower/raise lower/upper
    majority/minority max/min maximum/minimum maximize/minimize maximise/minimise mount/unmount
    merge/split modern/ancient more/fewer most/least multiply/divide mute/unmute narrow/wide
    near/far negative/positive new/old newer/older newest/oldest off/on offline/online old/young
    older/younger on/off open/shut optional/required optimist/pessimist over/under pack/unpack
    parent/child part/whole pause/resume past/future peace/war permit/forbid plug/unplug
    poor/rich possible/impossible private/public push/pull question/answer quick/slow quiet/loud
    read/write reading/writing receive/send receiving/sending regular/irregular remember/forget
    right/wrong rise/fall rising/falling rise/set safe/dangerous safe/unsafe send/receive
    serialize/deserialize sharp/blunt sign/unsign shrink/enlarge sick/healthy simple/complex
    single/married single/double singular/plural sink/float sit/stand smooth/rough start/stop
    start/end start/finish starting/stopping started/stopped stop/continue strength/weakness
    strengths/weaknesses strong/weak stronger/weaker subscribe/unsubscribe sunrise/sunset
    supply/demand tall/short teach/learn temporary/permanent thick/thin tight/loose top/bottom
    true/false turn/straight union/intersection up/down upstream/downstream vertical/horizontal
    victory/defeat visible/invisible with/without withdraw/deposit win/lose worst/best
    write/read zoom/unzoom ascending/descending approve/reject approved/rejected attack/defend
    virtual/physical client/server input/output synchronous/asynchronous static/dynamic
    local/remote manual/automatic public/secret host/guest employer/employee landlord/tenant
    buyer/seller lender/borrower teacher/student plus/minus prefix/suffix encoder/decoder
    expire/renew import/delete own/rent acid/base hot/cool beginning/ending introvert/extrovert
    introverts/extroverts oldest/youngest tomorrow/yesterday"""
)
"""Words that turn a question into another when one stands for the other."""
