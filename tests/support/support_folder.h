#pragma once

#include <filesystem>

namespace reef::test {

/// tests/support of the checkout: the programs that tests start.
std::filesystem::path support_folder();

}  // namespace reef::test
