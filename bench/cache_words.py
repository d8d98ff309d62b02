"""
Writes the word lists by which the cache mends slips of the finger.

    python -m bench.cache_words FREQUENCIES WORDS...

FREQUENCIES is `frequency_dictionary_en_82_765.txt` of the package symspellpy 6.10.1 (MIT; made
from Google Books Ngram, CC BY 3.0, and SCOWL). WORDS are lists of SCOWL, one word a line:
`american-english-huge` and `british-english-huge` of Debian's wamerican-huge and wbritish-huge
2020.12.07-2. The licences are in the folder that is written to.
"""

import gzip
import sys
from pathlib import Path

from parley_services.semantic_cache.text import typos
from parley_services.semantic_cache.text.typos import FILTER_HASHES, LEAST_LETTERS, places_of, slips
from parley_services.semantic_cache.text.word_list import word_list
from rich.console import Console

console = Console()

FOLDER = Path(typos.__file__).parent / "words"
COMMON = 25_000
BITS_A_WORD = 16
BRANDS = word_list(
    """flickr tumblr reddit lyft fiverr scribd digg dribbble grindr tinder netflix spotify trello
    figma asana airtable github gitlab docker kubernetes podman ansible terraform vercel netlify
    heroku supabase firebase pytorch tensorflow keras numpy pandas scipy django flask fastapi
    redis kafka rabbitmq mongodb postgres mysql sqlite nginx apache drupal joomla shopify stripe
    paypal venmo klarna revolut monzo starling wise robinhood coinbase binance kraken solana
    cardano tether ethereum dogecoin openai chatgpt anthropic claude gemini mistral llama bard
    copilot midjourney grok perplexity duolingo grammarly evernote dropbox whatsapp telegram
    viber wechat tiktok snapchat pinterest linkedin xing twitch discord zoom webex duckduckgo
    bing yahoo baidu yandex weibo alibaba huawei xiaomi lenovo asus acer nvidia radeon intel
    qualcomm samsung canva miro jira confluence zendesk hubspot mailchimp twilio sendgrid okta
    datadog splunk grafana kibana sentry ubuntu debian fedora manjaro centos kotlin clojure
    erlang elixir haskell ocaml scala groovy webpack vite svelte angular vuejs nextjs deno bun
    hulu roku sonos fitbit garmin gopro nintendo playstation xbox roblox minecraft fortnite
    valorant dota skyrim pokemon zelda ikea lidl aldi tesco asda ocado deliveroo doordash
    instacart airbnb booking expedia ryanair easyjet lufthansa qantas emirates"""
)
"""Names that stand a slip away from a word, and that a dictionary does not know."""


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit("Give the file of frequencies and at least one list of words.")
    listed = {
        word.casefold()
        for name in sys.argv[2:]
        for word in Path(name).read_text().split()
        if word.isascii() and word.isalpha()
    }
    by_frequency = [
        line.split()[0] for line in Path(sys.argv[1]).read_text("utf-8-sig").splitlines()
    ]
    common = [
        word
        for word in by_frequency
        if len(word) >= LEAST_LETTERS - 1 and word.isalpha() and word in listed
    ][:COMMON]
    kept = set(common)
    known = listed.union(BRANDS)
    # Only a word that would be mended need be known.
    close = sorted(
        word
        for word in known - kept
        if len(word) >= LEAST_LETTERS and not slips(word).isdisjoint(kept)
    )
    bits = bytearray(len(close) * BITS_A_WORD // 8)
    for word in close:
        for place in places_of(word, len(bits) * 8):
            bits[place >> 3] |= 1 << (place & 7)
    FOLDER.mkdir(exist_ok=True)
    packed = gzip.compress("\n".join(sorted(common)).encode(), mtime=0)
    (FOLDER / "common.txt.gz").write_bytes(packed)
    (FOLDER / "known.bloom").write_bytes(bits)
    console.out(f"{len(common):,} common words, {len(packed):,} bytes")
    console.out(
        f"{len(close):,} known words a slip away, {len(bits):,} bytes, {FILTER_HASHES} hashes"
    )


if __name__ == "__main__":
    main()
