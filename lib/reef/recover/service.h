#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "reef/tree/config.h"

namespace reef::recover {

/// services.<persona> of system.yaml: what stops and starts what runs as a persona. No shell reads the commands.
struct Service {
  std::string persona;
  std::vector<std::string> stop;   ///< empty: nothing is to be stopped
  std::vector<std::string> start;  ///< empty: nothing is to be started
};

/// Of those personas, all of the configuration where none is named; without those that have no command.
std::vector<Service> services(const tree::Config& config, const std::vector<std::string>& personas = {});

/// Services that are stopped while data of theirs is replaced, and started again, whatever becomes of it.
class StoppedServices {
 public:
  /// Stops them one after the other. Where one cannot be stopped, those before it are started again, and Error{failed}
  /// shows what the command said. `patience` is for each command, which is killed then.
  explicit StoppedServices(std::vector<Service> services, std::chrono::milliseconds patience = std::chrono::minutes(2));
  StoppedServices(const StoppedServices&) = delete;
  StoppedServices& operator=(const StoppedServices&) = delete;
  /// Starts what start() did not, also after a signal; what fails is a warning.
  ~StoppedServices();

  /// Throws Error{failed} for those that could not be started, once all were tried.
  void start();

 private:
  std::vector<std::string> start_all() noexcept;

  std::vector<Service> services_;
  std::size_t stopped_ = 0;  ///< the first of services_
  std::chrono::milliseconds patience_;
};

}  // namespace reef::recover
