#include "support/support_folder.h"

namespace reef::test {

std::filesystem::path support_folder() { return REEF_TEST_SUPPORT; }

}  // namespace reef::test
