# Net::SFTP: net_sftp.rb HOST PORT KEY_FILE put|rename|get FROM TO
require "net/sftp"

host, port, key_file, verb, from, to = ARGV
options = { port: port.to_i, keys: [key_file], keys_only: true, verify_host_key: :never,
            config: false, non_interactive: true, use_agent: false }
Net::SFTP.start(host, "acme", **options) do |sftp|
  case verb
  when "put" then sftp.upload!(from, to)
  when "rename" then sftp.rename!(from, to)
  when "get" then sftp.download!(from, to)
  end
end
