#include "launch/rendezvous/secret.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "launch/rendezvous/file_descriptor.h"

namespace rk {
namespace {

constexpr size_t longest_secret = 4096;

std::string mode_text(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

}  // namespace

std::string read_secret(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file)
    fail(cat("the secret file ", path, " cannot be read (", std::strerror(errno), "); make one with: (umask 077; openssl rand -hex 32 > ",
             path, "), and give every node the same"));
  struct stat about {};
  if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) fail(cat("the secret ", path, " is not a file"));
  if (about.st_uid != ::geteuid())
    fail(cat("the secret file ", path, " belongs to user ", about.st_uid, ", not to you (", ::geteuid(), "); make a copy of your own"));
  if ((about.st_mode & 0177) != 0)
    fail(cat("the secret file ", path, " has mode ", mode_text(about.st_mode), ", so others may use it; chmod 600 it"));
  std::string secret(longest_secret + 1, '\0');
  const ssize_t n = ::read(file.get(), secret.data(), secret.size());
  if (n < 0) fail(cat("the secret file ", path, " cannot be read: ", std::strerror(errno)));
  if (static_cast<size_t>(n) > longest_secret) fail(cat("the secret file ", path, " holds more than ", longest_secret, " bytes"));
  secret.resize(static_cast<size_t>(n));
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < shortest_secret)
    fail(cat("the secret file ", path, " holds ", secret.size(), " bytes; at least ", shortest_secret,
             " are needed, for instance of: openssl rand -hex 32"));
  return secret;
}

}  // namespace rk
