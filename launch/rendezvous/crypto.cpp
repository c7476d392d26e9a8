#include "launch/rendezvous/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/error.h"

namespace rk {

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string mac(mac_bytes, '\0');
  unsigned int n = 0;
  const unsigned char* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
           reinterpret_cast<unsigned char*>(mac.data()), &n);
  require(done && n == mac_bytes, "OpenSSL computes HMAC-SHA256");
  return mac;
}

std::string random_bytes(size_t n) {
  std::string bytes(n, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(n)) != 1)
    fail("OpenSSL has no random numbers on this host; look at /dev/urandom", ExitCode::failure);
  return bytes;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace rk
