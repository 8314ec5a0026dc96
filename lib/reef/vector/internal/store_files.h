#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reef/vector/codes.h"
#include "reef/vector/internal/small_file.h"
#include "reef/vector/npy.h"
#include "reef/vector/store.h"

namespace reef::vector::internal {

inline constexpr const char* kPlainVectors = "vectors.npy";
inline constexpr const char* kPlainCodes = "codes.npy";
inline constexpr const char* kPlainIndex = "index.bin";
inline constexpr const char* kConfig = "config.json";

/// Largest |‖row‖ - 1| of a row that counts as a unit vector.
inline constexpr double kUnitTolerance = 1e-3;

/// The committed rows. Throws Error{corrupt} when the file is missing, short or of another shape,
/// saying how the store comes back.
NpyMatrix open_vectors(const std::filesystem::path& folder, const StoreState& state);

/// codes.<g>.npy, opened for appending after its committed rows; made again from the vectors when
/// it is missing, short or damaged. Readers keep the file they have: a new one takes its name.
NpyAppender open_or_rebuild_codes(const std::filesystem::path& folder, const StoreState& state);

/// ‖row‖, or NaN when a value is not finite.
double norm(std::span<const float> row);

/// What config.json says of `state`.
std::string config_text(const StoreState& state);

/// Each plain name with the file that it stands for; "" when there is none.
std::array<std::pair<std::string, std::string>, 3> plain_names(const StoreState& state);

/// Whether folder/plain is a hard or symbolic link to folder/target.
bool is_link_to(const std::filesystem::path& folder, const std::string& plain, const std::string& target);

/// vectors.<g>.npy, codes.<g>.npy and index.<g>.bin that `state` does not name: of an older generation, or of one that
/// was never committed.
std::vector<std::filesystem::path> unnamed(const std::filesystem::path& folder, const StoreState& state);
/// Removes them. A reader that has them open keeps them.
void remove_unnamed(const std::filesystem::path& folder, const StoreState& state);

/// Brings the plain names and config.json into line with `state`; touches nothing that is.
void publish(const std::filesystem::path& folder, const StoreState& state);

}  // namespace reef::vector::internal
