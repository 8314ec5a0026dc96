#include <doctest/doctest.h>

#include <filesystem>
#include <new>

#include "reef/core/error.h"

using namespace reef;

namespace {

template <typename Work>
Error error_of(Work work) {
  try {
    work();
  } catch (...) {
    return current_error();
  }
  return Error(Errc::failed, "nothing was thrown");
}

}  // namespace

TEST_CASE("what is handled becomes an Error that names its object") {
  const Error own = error_of([] { throw Error(Errc::locked, "busy", "wait"); });
  CHECK(own.code() == Errc::locked);
  CHECK(own.hint() == "wait");
  const Error file = error_of([] { return std::filesystem::file_size("/no/such\nfile"); });
  CHECK(file.code() == Errc::not_found);
  CHECK(std::string(file.what()) == "/no/such\\x0afile: No such file or directory");
  CHECK(std::string(error_of([] { throw std::bad_alloc(); }).what()) == "out of memory");
  CHECK(std::string(error_of([] { throw std::runtime_error("else"); }).what()) == "else");
}
