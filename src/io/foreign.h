// Files that people hand over in place of tensors.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace rk {

// What a file is that no reader takes, with what to do about it; "" where its first bytes say nothing.
std::string describe_foreign(std::span<const std::byte> file);

}  // namespace rk
