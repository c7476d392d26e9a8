// Words to typed values, with the sentence that says what is accepted.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/run_config.h"

namespace rk {

// Nothing when the text is not such a value. Whole numbers may be written as 1e6 or 1.5e9.
std::optional<int64_t> read_whole(std::string_view text);
std::optional<double> read_real(std::string_view text);
std::optional<bool> read_yes_no(std::string_view text);      // 1, 0, true, false, yes, no, on, off in any case
std::optional<Cadence> read_cadence(std::string_view text);  // "100", "100steps", "1e6tokens", "10min"

// Shortest text that reads back to the same number.
std::string show_real(double value);
std::string show_cadence(const Cadence& cadence);

std::string lower_case(std::string_view text);

}  // namespace rk
