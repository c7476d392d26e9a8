// Lines for people. Rank 0 speaks; other ranks speak only in errors.
#pragma once
#include <string>

namespace rk {

// Set once by main(): whether this process prints info and warning lines (rank 0), and the prefix of error lines ("[rank 3/8] ").
void set_log_voice(bool speaks, const std::string& error_prefix);

void log_info(const std::string& line);
void log_warning(const std::string& line);  // printed as "warning: ..."
void log_error(const std::string& line);    // always printed, to stderr

}  // namespace rk
