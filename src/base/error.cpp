#include "base/error.h"

namespace rk {

void fail(const std::string& message, ExitCode code, Where at) { throw Error(code, message, at); }

void broken_promise(const char* message, Where at) {
  throw Error(ExitCode::failure, cat("internal error: ", message, " (", at.file, ":", at.line, "); please report this"), at);
}

}  // namespace rk
