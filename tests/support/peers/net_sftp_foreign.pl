# Net::SFTP::Foreign: net_sftp_foreign.pl HOST PORT KEY_FILE put|rename|get FROM TO
use strict;
use warnings;
use Net::SFTP::Foreign;

my ($host, $port, $key_file, $verb, $from, $to) = @ARGV;
my @quiet = map { ('-o', $_) } qw(IdentitiesOnly=yes IdentityAgent=none StrictHostKeyChecking=no
    UserKnownHostsFile=/dev/null LogLevel=ERROR BatchMode=yes);
my $sftp = Net::SFTP::Foreign->new($host, user => 'acme', port => $port, key_path => $key_file,
    more => ['-F', 'none', @quiet]);
$sftp->die_on_error('connecting');
if ($verb eq 'put') { $sftp->put($from, $to) }
elsif ($verb eq 'rename') { $sftp->rename($from, $to, overwrite => 1) }
elsif ($verb eq 'get') { $sftp->get($from, $to) }
$sftp->die_on_error($verb);
