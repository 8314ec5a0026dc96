// Prints the compound score of each line of stdin: sentiment_peer <lines
#include <fmt/format.h>

#include <iostream>
#include <string>

#include "reef/text/sentiment.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) fmt::print("{:.9f}\n", reef::text::sentiment(line));
}
