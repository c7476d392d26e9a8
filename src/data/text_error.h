// What is wrong at one place of a text. Who reads the file catches it and says which file and line.
#pragma once
#include <cstddef>
#include <string>

#include "base/error.h"

namespace rk {

class TextError : public Error {
 public:
  TextError(const std::string& reason, size_t offset, Where at = Where::here()) : Error(ExitCode::bad_input, reason, at), offset_(offset) {}
  size_t offset() const { return offset_; }  // bytes from the start of the text that was given

 private:
  size_t offset_;
};

}  // namespace rk
