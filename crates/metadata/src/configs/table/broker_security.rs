//! Broker keys: who may do what, TLS and delegation tokens.

use super::prelude::*;

keys! {
    "authorizer.class.name" String "" [Any] Low ReadOnly
        "The Java class that says who may do what." Refused(SEC);
    "principal.builder.class" Class "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder" [Any] Medium PerBroker
        "The Java class that says who a connection belongs to." Refused(JVM);
    "security.providers" String null [Any] Low ReadOnly
        "Java classes that provide cryptography." Refused(JVM);
    "delegation.token.secret.key" Password null [Any] Medium ReadOnly
        "The key with which delegation tokens are signed." Refused(SEC);
    "delegation.token.expiry.check.interval.ms" Long "3600000" [AtLeast(1)] Low ReadOnly
        "How often old delegation tokens are removed." NoEffect(SEC);
    "delegation.token.expiry.time.ms" Long "86400000" [AtLeast(1)] Medium ReadOnly
        "How long a delegation token lives unless renewed." NoEffect(SEC);
    "delegation.token.max.lifetime.ms" Long "604800000" [AtLeast(1)] Medium ReadOnly
        "How long a delegation token can be renewed for." NoEffect(SEC);
    "ssl.allow.dn.changes" Boolean "false" [Any] Low ReadOnly
        "Whether a new certificate may carry another distinguished name." Refused(SEC);
    "ssl.allow.san.changes" Boolean "false" [Any] Low ReadOnly
        "Whether a new certificate may carry other alternative names." Refused(SEC);
    "ssl.cipher.suites" List "" [Any] Medium PerBroker
        "The TLS cipher suites offered." Refused(SEC);
    "ssl.client.auth" String "none" [OneOf(&["required", "requested", "none"])] Medium PerBroker
        "Whether TLS clients must show a certificate." Refused(SEC);
    "ssl.enabled.protocols" List "TLSv1.2,TLSv1.3" [Any] Medium PerBroker
        "The TLS versions offered." Refused(SEC);
    "ssl.endpoint.identification.algorithm" String "https" [Any] Low PerBroker
        "How a server's name is checked against its certificate." Refused(SEC);
    "ssl.engine.factory.class" Class null [Any] Low PerBroker
        "The Java class that makes TLS engines." Refused(JVM);
    "ssl.key.password" Password null [Any] Medium PerBroker
        "The password of the private key." Refused(SEC);
    "ssl.keymanager.algorithm" String "SunX509" [Any] Medium PerBroker
        "The Java name of the key manager." Refused(JVM);
    "ssl.keystore.certificate.chain" Password null [Any] Medium PerBroker
        "The certificate chain, as PEM." Refused(SEC);
    "ssl.keystore.key" Password null [Any] Medium PerBroker
        "The private key, as PEM." Refused(SEC);
    "ssl.keystore.location" String null [Any] Medium PerBroker
        "The file with key and certificates." Refused(SEC);
    "ssl.keystore.password" Password null [Any] Medium PerBroker
        "The password of that file." Refused(SEC);
    "ssl.keystore.type" String "JKS" [Any] Medium PerBroker
        "The format of that file." Refused(SEC);
    "ssl.principal.mapping.rules" String "DEFAULT" [Any] Low ReadOnly
        "How a certificate's name becomes a principal." Refused(SEC);
    "ssl.protocol" String "TLSv1.3" [Any] Medium PerBroker
        "The TLS version preferred." Refused(SEC);
    "ssl.provider" String null [Any] Medium PerBroker
        "The Java security provider for TLS." Refused(JVM);
    "ssl.secure.random.implementation" String null [Any] Low PerBroker
        "The Java generator of random numbers for TLS." Refused(JVM);
    "ssl.trustmanager.algorithm" String "PKIX" [Any] Medium PerBroker
        "The Java name of the trust manager." Refused(JVM);
    "ssl.truststore.certificates" Password null [Any] Medium PerBroker
        "Trusted certificates, as PEM." Refused(SEC);
    "ssl.truststore.location" String null [Any] Medium PerBroker
        "The file with trusted certificates." Refused(SEC);
    "ssl.truststore.password" Password null [Any] Medium PerBroker
        "The password of that file." Refused(SEC);
    "ssl.truststore.type" String "JKS" [Any] Medium PerBroker
        "The format of that file." Refused(SEC);
}
