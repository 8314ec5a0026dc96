#pragma once

#include <string_view>

namespace reef::text {

/// VADER's compound score of a text in English, -1 (negative) to 1: ratings of words, emoticons and emoji, changed by
/// what stands before them (degree words, negations, capitals), by "but" and by exclamation marks.
///
/// Not rounded; else the same as vaderSentiment 3.3.2, which tests/peers/sentiment.py compares it with.
/// Source: Hutto, Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", 2014.
double sentiment(std::string_view text);

}  // namespace reef::text
