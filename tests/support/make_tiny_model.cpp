// make_tiny_model DIR [DIM]: a random BERT encoder of two layers for command tests, in DIR.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "support/tiny_model.h"

int main(int count, char** arguments) {
  reef::test::TinyModel model;
  if (count == 3) model.dim = std::strtoul(arguments[2], nullptr, 10);
  if (count < 2 || count > 3 || model.dim == 0 || model.dim % 16 != 0) {
    std::fputs("usage: make_tiny_model DIR [DIM], DIM a multiple of 16\n", stderr);
    return 2;
  }
  model.ffn = 4 * model.dim;
  try {
    reef::test::write_tiny_model(arguments[1], model);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_tiny_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
