"""Written answers, made up to look like those of ten families of models, and the reading that a careful person gives.

They were written down before the parser was. A reading is the option's number, or 0 for no answer.
"""

from __future__ import annotations

FLIGHTS: list[tuple[str, str, int]] = [
    # OpenAI
    ("openai", "The best option is Flight 2.", 2),
    ("openai", "**Flight 3** is the best option.", 3),
    ("openai", "Flight 1", 1),
    (
        "openai",
        "Based on your past choices, you seem to value shorter trips over lower prices. Given that, the best flight for your trip is "
        "**Flight 3**.",
        3,
    ),
    ("openai", "I’d pick **Flight 2** — it’s the cheapest, and only slightly longer than Flight 1.", 2),
    (
        "openai",
        "I'm sorry, but I can't determine which flight is best without more information about your preferences.",
        0,
    ),
    (
        "openai",
        "Here’s a quick comparison:\n\n- **Flight 1**: cheapest, 2 stops\n- **Flight 2**: fastest, 0 stops\n- **Flight 3**: middle "
        "of the road\n\n**Recommendation:** Flight 2",
        2,
    ),
    ("openai", '{"answer": "Flight 2"}', 2),
    ("openai", "Option 2", 2),
    (
        "openai",
        "Either Flight 1 or Flight 3 would work well for you, depending on whether you value price or time more.",
        0,
    ),
    # Claude
    (
        "claude",
        "Looking at your preferences from previous rounds, you chose Flight 1 when it was the shortest. I recommend Flight 1: it is the "
        "cheapest and has no stops.",
        1,
    ),
    (
        "claude",
        "<thinking>\nThe user liked Flight 1 in round 1. Here Flight 2 is cheaper. Hmm, Flight 3 is short.\n</thinking>\n\nThe best "
        "option is Flight 3.",
        3,
    ),
    (
        "claude",
        "I should be upfront: I'm not certain about your preferences yet. With that caveat, my best judgment is **Flight 2**, since it "
        "balances price and duration.",
        2,
    ),
    (
        "claude",
        "# Analysis\n\nFlight 1 departs at 06:00 AM and costs $370.\nFlight 2 departs at 02:00 PM and costs $730.\nFlight 3 departs at "
        "10:00 AM and costs $460.\n\n# Recommendation\n\n**Flight 3** looks like the strongest match.",
        3,
    ),
    (
        "claude",
        'You told me "Your option Flight 3 is incorrect. I prefer Flight 1." From this I learn that you like cheap flights. The best '
        "option here is Flight 2.",
        2,
    ),
    ("claude", "I don't have enough information to confidently say whether Flight 1 or Flight 2 is better for you.", 0),
    (
        "claude",
        "If price matters most to you, Flight 1 is the best option. If you'd rather save time, Flight 3 is the best option.",
        0,
    ),
    ("claude", "Flight 2 would be the best option, rather than Flight 1, which has two stops.", 2),
    (
        "claude",
        "My first instinct was Flight 1. But on reflection, your earlier choices favor fewer stops, so I'd go with Flight 3.",
        3,
    ),
    # Gemini
    ("gemini", "The best option for you is **Flight 1**.\n\nHere's why:\n* **Price:** $250\n* **Stops:** 0", 1),
    (
        "gemini",
        "Okay, let's break down the flights:\n\n*   **Flight 1:** 07:36 AM, 4 hr 24 min, 1 stop, $570\n*   **Flight 2:** 12:00 PM, 2 hr, 0 "
        "stops, $890\n*   **Flight 3:** 09:12 PM, 30 min, 2 stops, $190\n\nConsidering your preference for cheap flights, **Flight 3** is the "
        "best option.",
        3,
    ),
    (
        "gemini",
        "Okay, let's break down the flights:\n\n*   **Flight 1:** 07:36 AM, 4 hr 24 min, 1 stop, $570\n*   **Flight 2:** 12:00 PM, 2 hr, 0",
        0,
    ),
    ("gemini", "Final Answer: The final answer is $\\boxed{2}$", 2),
    (
        "gemini",
        "Thinking about it, the answer must be Flight 1... no wait, Flight 3 has fewer stops. Flight 3 it is!",
        3,
    ),
    ("gemini", '```json\n{\n  "best_option": "Flight 3"\n}\n```', 3),
    ("gemini", "I choose Flight 2 since it is the most affordable.", 2),
    ("gemini", "As a large language model, I am not able to book flights or make decisions on your behalf.", 0),
    # Llama
    ("llama", "Based on your preferences, I would recommend Flight 2. It has a shorter duration and a lower price.", 2),
    (
        "llama",
        "The best option is Flight 3. \n\nThis is because Flight 3 has the shortest duration, and Flight 1 is dear.",
        3,
    ),
    ("llama", "Best option: 2", 2),
    ("llama", "I think the best option is flight number 1.<|eot_id|>", 1),
    (
        "llama",
        "The best option is Flight 2.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nYour option Flight 2 is incorrect. I prefer "
        "Flight 1.",
        2,
    ),
    (
        "llama",
        "To determine the best flight, we need to consider your preferences:\n\n1. Price\n2. Duration\n3. Stops",
        0,
    ),
    ("llama", "I prefer Flight 1.", 1),
    (
        "llama",
        "Flight 1: departure time: 07:36 AM, duration: 4 hr 24 min, number of stops: 1, price: $570\nFlight 2: departure time: 12:00 "
        "PM, duration: 2 hr, number of stops: 0, price: $890\nFlight 3: departure time: 09:12 PM, duration: 30 min, number of stops: "
        "2, price: $190",
        0,
    ),
    ("llama", "Flight 1 or 2", 0),
    (
        "llama",
        "## Step 1: Compare the prices\nFlight 1 is $300, Flight 2 is $400.\n\nThe final answer is: $\\boxed{1}$",
        1,
    ),
    ("llama", "I cannot provide a recommendation without knowing more about you.", 0),
    # Qwen and Qwen3
    ("qwen", "Based on the information provided, Flight 2 appears to be the best choice for you.", 2),
    (
        "qwen",
        "<think>\nOkay, the user wants me to pick a flight. Earlier they preferred Flight 1 over Flight 2. So maybe the best option is "
        "Flight 1? Let me check the stops.\n</think>\n\nThe best option is Flight 2.",
        2,
    ),
    ("qwen", "<think>\nAt first the best option is Flight 1, but the user chose the", 0),
    ("qwen", "<think>\n\n</think>\n\nFlight 3", 3),
    (
        "qwen",
        "Okay, so they like cheap ones. The best option is Flight 1.\n</think>\n\nThe best option is Flight 3.",
        3,
    ),
    ("qwen", "<think>\nThe best option is Flight 2.\n</think>\n\n", 0),
    (
        "qwen",
        "To choose the best flight for your trip, we need to consider factors such as layovers (Flight 1), stops",
        0,
    ),
    ("qwen", "The correct answer is Flight 3.", 3),
    ("qwen", "**Answer:** $\\boxed{\\text{Flight 1}}$", 1),
    # DeepSeek-R1
    (
        "deepseek",
        "<think>\nHmm. Flight 1 is long. Wait, but Flight 2 costs more. I'll say Flight 2.\n</think>\n\nAfter weighing duration and "
        "price, the optimal choice is:\n\n**Flight 3**",
        3,
    ),
    ("deepseek", "**Final Answer**\n\\boxed{3}", 3),
    (
        "deepseek",
        "Alright, so I need to figure out which flight is best. The user's last feedback was that Flight 3 is incorrect and",
        0,
    ),
    ("deepseek", "\\[\n\\boxed{\\textbf{Flight 2}}\n\\]", 2),
    (
        "deepseek",
        "<think>\nLet me think <think> again. Flight 1.</think> No, Flight 2.</think>\nFlight 1 is the most suitable flight for you.",
        1,
    ),
    ("deepseek", "The best option is Flight 1? No, Flight 2 is better.", 2),
    ("deepseek", "<think>\nFlight 1.\n</think>\n\n<answer>Flight 2</answer>", 2),
    # Mistral and Magistral
    (
        "mistral",
        "[THINK]The user likes evening flights, so the best option is Flight 1.[/THINK]The best option is Flight 2.",
        2,
    ),
    ("mistral", "[THINK]The user likes evening flights, so the best option is Flight 1. Let me check", 0),
    (
        "mistral",
        "Given your preferences, I'd suggest **Flight 3** because:\n\n1. **Price**: it is $190 cheaper than Flight 1.\n2. "
        "**Duration**: 30 min only.",
        3,
    ),
    ("mistral", " Flight 2 is the best option based on your preferences for early departure time and low price.", 2),
    ("mistral", "The best option is not Flight 2 but Flight 3.", 3),
    ("mistral", "The best option is Flight 1, Flight 2 or Flight 3, depending on price.", 0),
    # gpt-oss
    (
        "gpt-oss",
        "<|channel|>analysis<|message|>They chose flight 1 before. So best is Flight 2? Probably 1.<|end|><|start|>assistant"
        "<|channel|>final<|message|>The best option is Flight 3.",
        3,
    ),
    (
        "gpt-oss",
        "analysisWe need to pick. User likes cheap. Flight 2 is cheap.assistantfinalThe best option is Flight 2.",
        2,
    ),
    ("gpt-oss", "<|channel|>analysis<|message|>We need to pick. The best option is Flight 2. But user", 0),
    ("gpt-oss", "analysisWe need to pick. User likes cheap. The best option is Flight 2, but", 0),
    ("gpt-oss", "<|channel|>final<|message|>The best option is Flight 1.<|return|>", 1),
    # Gemma
    ("gemma", "Let's go with **Flight 1**! ✈️", 1),
    ("gemma", "<|channel>thought\nFlight 1 is cheap.<channel|>The best option is Flight 2.", 2),
    (
        "gemma",
        "Okay, I understand! You want me to pick the best flight.\n\nI'm leaning towards Flight 2.\n\nHowever, Flight 3 is also good.",
        2,
    ),
    ("gemma", "Flight 1 and Flight 2 are both good choices.<end_of_turn>", 0),
    ("gemma", "My choice is Flight 3, as it has the fewest stops.", 3),
    # Phi
    (
        "phi",
        "Considering the user's preferences, Flight 1 should be avoided. Flight 2 has too many stops. Therefore, Flight 3 is the most "
        "suitable option.",
        3,
    ),
    (
        "phi",
        "<think>User picks cheap flights. Flight 2 best.</think> The best option is **Flight 2**, with a price of $190.",
        2,
    ),
    ("phi", "2", 2),
    ("phi", "The second flight.", 2),
    ("phi", "Not Flight 1.", 0),
    ("phi", "I don't think the best option is Flight 1.", 0),
    ("phi", "Ranking: Flight 3 > Flight 1 > Flight 2", 3),
    # SmolLM
    ("smollm", "The best option is Flight 1.\n\nWhich flight is the best option?\n\nFlight 2:\ndeparture", 1),
    ("smollm", "Your option Flight 3 is incorrect. I prefer Flight 1.", 0),
    ("smollm", "I would recommend the flight with the lowest price and the shortest duration.", 0),
    ("smollm", "Flight 1:\nDeparture time: 07:36 AM, Duration: 4 hr 24 min, Number of St", 0),
    ("smollm", "flight two", 2),
    ("smollm", "The best option is Flight 4.", 0),
    ("smollm", "Answer: 1, 2, 3", 0),
    ("smollm", "The best option is Flight", 0),
    ("smollm", "I'm glad you liked Flight 2! What else can I do for you?", 0),
    ("smollm", "The most expensive is Flight 2.", 0),
]

OTHER_ITEMS: list[tuple[str, str, str, int]] = [
    ("openai", "Hotel", "Go with **Hotel 3** — closest to the beach, and the best rated.", 3),
    ("gemini", "Hotel", "Hotel 1 and Hotel 2 are too expensive, so Hotel 3 is your best bet.", 3),
    ("claude", "Product", "I'd suggest Product 2 (the blue one, size 8).", 2),
    ("qwen", "Product", "The best product for you is Option 1: Laptop Backpack, 17 inch, $39.99", 1),
    ("llama", "Hotel", "The best option is Flight 2.", 0),
    ("deepseek", "Product", "<think>Product 3 has 5 stars</think>\n\n**Product 1**", 1),
    ("mistral", "Hotel", "The hotel that best fits your needs is Hotel 2.", 2),
    ("gpt-oss", "Product", "Product 3 > Product 1", 3),
    ("gemma", "Hotel", "It's a tough call between Hotel 1 and Hotel 2!", 0),
    ("phi", "Product", "#2", 2),
]
