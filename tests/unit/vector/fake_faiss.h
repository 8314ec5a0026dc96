#pragma once

#include <cstdlib>
#include <string>

#include "reef/io/file.h"
#include "support/temp_dir.h"

namespace reef::test {

/// Writes a program that stands in for reef-faiss and makes the library find it.
class FakeHelper {
 public:
  explicit FakeHelper(const std::string& script) {
    io::replace_file(dir_ / "reef-faiss", "#!/bin/sh\n" + script, 0750);
    ::setenv("REEF_LIBEXEC", dir_.path().c_str(), 1);
  }
  FakeHelper(const FakeHelper&) = delete;
  FakeHelper& operator=(const FakeHelper&) = delete;
  ~FakeHelper() { ::unsetenv("REEF_LIBEXEC"); }

 private:
  test::TempDir dir_;
};

}  // namespace reef::test
