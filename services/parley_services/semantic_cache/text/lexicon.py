"""English words by the part they play when two questions are compared."""

from typing import Final

from parley_services.semantic_cache.text.word_list import word_list, word_pairs

FUNCTION_WORDS: Final = word_list(
    """a an the this that these those my your our their his her its some i you he she it we
    they me him us them do does did done doing is are was were be been being am have has had
    having will would shall should can could may might must to of in on at by for from with
    about into as and or but if so than then there here what which who whom whose when where
    why how please just also too very really actually one ones kindly hi hello hey thanks
    thank get got any"""
)
"""Words that carry grammar rather than a topic. Negations are not among them."""

POLITE_WORDS: Final = word_list(
    """please kindly hi hello hey thanks thank just actually really tell explain give show
    help let know want need wondering wonder like"""
)
"""Words that may come and go without changing what is asked."""

NEGATIONS: Final = word_list(
    "not no never none nobody nothing nowhere neither nor cannot without except unless hardly "
    # Other languages, whose questions come too.
    "nicht kein keine keinen nie niemals ohne pas jamais sans nunca jamás sin não nem sem mai "
    "senza niet geen nooit inte aldrig ikke ikkje nie не нет без"
)

NEGATIVE_PREFIXES: Final = ("un", "non", "dis", "in", "im", "il", "ir", "de", "anti", "mis")

SCOPE_WORDS: Final = word_list(
    """all every each only first last next previous same other another both either most least
    more less fewer many few half whole entire main new old current former original
    sometimes often rarely worst top bottom max min maximum minimum average total
    free paid private public personal business internal external daily weekly monthly yearly
    annual online offline short long brief detailed"""
)
"""Words that narrow or widen what is asked."""

DIRECTIONS: Final = word_list(
    "to from into onto than over under before after against by above below via"
)
"""Words whose two sides do not trade places without a change of meaning."""

SYMMETRIC: Final = word_list("and or versus vs & /")
"""Words whose two sides may trade places: `TCP and UDP`."""

QUESTION_WORDS: Final = word_list("who whom whose when where why how what which")

EXTENTS: Final = word_list("many much long often far old big large tall fast soon high deep late")
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

CLASSES: Final[tuple[frozenset[str], ...]] = (
    word_list("monday tuesday wednesday thursday friday saturday sunday weekday weekend"),
    word_list(
        """january february march april may june july august september october november
        december jan feb mar apr jun jul aug sep sept oct nov dec"""
    ),
    word_list("spring summer autumn fall winter"),
    word_list("today tomorrow yesterday tonight"),
    word_list("morning noon afternoon evening night midnight"),
    word_list(
        "second seconds minute minutes hour hours day days week weeks month months year years"
    ),
    word_list(
        """km kilometer kilometers kilometre kilometres mile miles meter meters metre metres cm mm
        inch inches foot feet yard yards"""
    ),
    word_list("kg kilogram kilograms gram grams pound pounds lb lbs ounce ounces ton tons stone"),
    word_list("celsius fahrenheit kelvin"),
    word_list("kb mb gb tb kilobyte megabyte gigabyte terabyte bits bytes"),
    word_list(
        """dollar dollars usd euro euros eur pound pounds gbp yen jpy rupee rupees inr franc chf
        yuan cny cad aud bitcoin"""
    ),
    word_list(
        """english french german spanish italian portuguese russian chinese mandarin japanese
        korean arabic hindi dutch greek latin turkish polish swedish"""
    ),
    word_list(
        """python java javascript typescript rust golang go ruby php perl kotlin swift scala c c++
        c# haskell lua r sql bash html css"""
    ),
    word_list("red green blue yellow black white orange purple pink brown grey gray"),
    word_list(
        """man woman men women boy girl boys girls male female husband wife father mother son
        daughter brother sister uncle aunt king queen"""
    ),
    word_list("north south east west northern southern eastern western"),
    word_list("cat cats dog dogs horse horses bird birds fish cow cows rabbit rabbits"),
    word_list("windows mac macos linux ubuntu android ios iphone ipad"),
    word_list("chrome firefox safari edge opera"),
    word_list("email mail sms phone chat fax letter"),
    word_list("credit debit prepaid gift"),
)
"""Closed classes: another member of the same class is another question."""

ANTONYMS: Final = word_pairs(
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
