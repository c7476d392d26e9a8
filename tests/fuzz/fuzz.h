// What fuzz targets share. A target reads any bytes: they are taken, or refused with an Error of bad input; whatever else happens (another
// exception, a sanitizer's report, too much memory or time) is a finding.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "support/temporary_folder.h"

namespace rk::fuzz {

template <class Read>
void accept_or_refuse(const Read& read) {
  try {
    read();
  } catch (const Error& e) {
    if (e.code() == ExitCode::bad_input) return;
    std::fprintf(stderr, "not a refusal: %s (%s:%d)\n", e.what(), e.at().file, e.at().line);
    std::abort();
  }  // others leave, which is a finding
}

inline std::string_view text_of(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// The path of a file with this content, the same for each call with this name; the folder lives as long as the program.
inline std::string file_of(const std::string& name, std::string_view content) {
  static const testing_support::TemporaryFolder folder;
  const std::string path = folder.path(name);
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(content.data(), static_cast<std::streamsize>(content.size()));
  return path;
}

}  // namespace rk::fuzz
