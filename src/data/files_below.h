// Files of a folder and of those below it.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace rk {

// Regular files whose names end in one of `endings`, sorted by path. `error` says what could not be read.
std::vector<std::string> files_below(const std::string& folder, std::initializer_list<std::string_view> endings, std::error_code& error);

}  // namespace rk
